import { runService } from '@reef/service';
import { definition, TelemetryModule } from './telemetry.module.js';

await runService(definition, TelemetryModule);
