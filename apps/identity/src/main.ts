import { runService } from '@reef/service';
import { definition, IdentityModule } from './identity.module.js';

await runService(definition, IdentityModule);
