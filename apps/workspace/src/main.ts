import { runService } from '@reef/service';
import { definition, WorkspaceModule } from './workspace.module.js';

await runService(definition, WorkspaceModule);
