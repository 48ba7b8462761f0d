import { Module } from '@nestjs/common';
import { ReefModule, type ServiceDefinition } from '@reef/service';
import { memories } from './aggregates.js';
import { MemoryCommands } from './memory.commands.js';
import { MemoryQueries } from './memory.queries.js';
import { migrations } from './migrations/index.js';
import { MemoryRow } from './projections/memories.js';

export const definition: ServiceDefinition = {
  name: 'memory',
  aggregates: [memories],
  entities: [MemoryRow],
  migrations,
};

@Module({
  imports: [ReefModule.for(definition)],
  controllers: [MemoryCommands, MemoryQueries],
})
export class MemoryModule {}
