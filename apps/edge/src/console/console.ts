import { page } from '../http/page.js';
import { CONSOLE_BODY } from './body.js';
import { CONSOLE_SCRIPT } from './script.js';
import { CONSOLE_STYLE } from './style.js';

/** A page without a build: log in, talk with an agent, watch budget and activity. */
export const consolePage = page({ title: 'Reef', style: CONSOLE_STYLE, body: CONSOLE_BODY, script: CONSOLE_SCRIPT });
