import { BUDGET_BODY } from './budget.js';

export const CONSOLE_BODY = `
<header><h1>Reef</h1><nav><a href="/api/docs">API</a> <button id="leave" hidden>Log out</button></nav></header>
<p id="trouble" role="alert" hidden></p>
<form id="enter" hidden>
<label>E-mail<input name="email" type="email" autocomplete="username" required></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button>
</form>
<main id="home" hidden>
<section aria-labelledby="talk"><h2 id="talk">Talk</h2>
<label>Agent<select id="agent"></select></label>
<div id="said" aria-live="polite"></div>
<form id="say"><textarea name="text" aria-label="Message" required></textarea><button>Send</button></form></section>
<section aria-labelledby="money">${BUDGET_BODY}
<h2>Right now</h2><p id="queued"></p><table><thead><tr><th>Agent</th><th>User</th><th>Stage</th><th>USD</th></tr></thead><tbody id="turns"></tbody></table></section>
</main>`;
