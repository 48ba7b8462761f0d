import { runService } from '@reef/service';
import { definition, MemoryModule } from './memory.module.js';

await runService(definition, MemoryModule);
