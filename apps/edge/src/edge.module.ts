import {
  type BeforeApplicationShutdown,
  type DynamicModule,
  Inject,
  Injectable,
  Module,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { NatsConnection } from '@nats-io/transport-node';
import { metrics } from '@opentelemetry/api';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectNats, ContextSigner, Requests } from '@reef/messaging';
import { NATS } from '@reef/service/process';
import type { FastifyInstance } from 'fastify';
import { Authenticator } from './auth/authenticator.js';
import { Contexts } from './auth/contexts.js';
import type { Edge } from './edge.js';
import type { EdgeEnvironment } from './environment.js';
import { mount } from './http/mount.js';
import { routes } from './routes.js';
import { LiveTurns } from './v1/live-turns.js';

const CLOSE_MS = 2_000;
const METRICS = Symbol('METRICS');

/** Starts what listens, mounts the routes, and takes both down in the order that loses nothing. */
@Injectable()
class EdgeLifecycle implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    private readonly http: HttpAdapterHost,
    @Inject(NATS) private readonly nats: NatsConnection,
    private readonly requests: Requests,
    private readonly contexts: Contexts,
    private readonly authenticator: Authenticator,
    private readonly turns: LiveTurns,
    @Inject(METRICS) private readonly scrape: () => Promise<string>,
  ) {}

  async onModuleInit(): Promise<void> {
    this.authenticator.start();
    await this.turns.start();
    metrics
      .getMeter('reef')
      .createObservableGauge('reef.edge.open_streams', { description: 'Turns and live activity streams open now' })
      .addCallback((result) => result.observe(this.turns.openStreams));
    const { nats, requests, contexts, authenticator, turns, scrape } = this;
    const edge: Edge = { nats, requests, contexts, authenticator, turns, metrics: scrape };
    mount(this.http.httpAdapter.getInstance<FastifyInstance>(), routes, edge);
  }

  /** While the server still answers: turns in hand may end. */
  beforeApplicationShutdown(): Promise<void> {
    return this.turns.stop();
  }

  async onApplicationShutdown(): Promise<void> {
    this.authenticator.stop();
    // A cancellation may be on its way out; where NATS is gone, there is nobody to tell.
    const close = this.nats
      .flush()
      .then(() => this.nats.close())
      .catch(() => undefined);
    await Promise.race([close, sleep(CLOSE_MS, undefined, { ref: false })]);
  }
}

@Module({})
export class EdgeModule {
  static for(environment: EdgeEnvironment, scrape: () => Promise<string>): DynamicModule {
    return {
      module: EdgeModule,
      providers: [
        { provide: METRICS, useValue: scrape },
        { provide: NATS, useFactory: () => connectNats(environment.NATS_URL, 'edge') },
        { provide: Requests, inject: [NATS], useFactory: (nats: NatsConnection) => new Requests(nats) },
        {
          provide: Contexts,
          useFactory: () => new Contexts(ContextSigner.fromFile('edge', environment.CONTEXT_SIGNING_KEY_FILE)),
        },
        {
          provide: Authenticator,
          inject: [NATS, Requests, Contexts],
          useFactory: (nats: NatsConnection, requests: Requests, contexts: Contexts) =>
            new Authenticator(nats, requests, contexts),
        },
        { provide: LiveTurns, inject: [NATS], useFactory: (nats: NatsConnection) => new LiveTurns(nats) },
        EdgeLifecycle,
      ],
    };
  }
}
