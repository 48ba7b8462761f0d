import { runService } from '@reef/service';
import { BudgetsModule, definition } from './budgets.module.js';

await runService(definition, BudgetsModule);
