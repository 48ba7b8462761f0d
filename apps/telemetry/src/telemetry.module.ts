import { Module } from '@nestjs/common';
import { ReefModule, type ServiceDefinition } from '@reef/service';
import { FeedFollower } from './feed/feed-follower.js';
import { migrations } from './migrations/index.js';
import { replay } from './replay.js';
import { TelemetryQueries } from './telemetry.queries.js';

/** No aggregates: telemetry decides nothing. Its record is the audit, its own copy of everybody's events. */
export const definition: ServiceDefinition = { name: 'telemetry', aggregates: [], entities: [], migrations, replay };

@Module({ imports: [ReefModule.for(definition)], controllers: [TelemetryQueries], providers: [FeedFollower] })
export class TelemetryModule {}
