import { runService } from '@reef/service';
import { definition, DispatchModule } from './dispatch.module.js';

await runService(definition, DispatchModule);
