import { hash, randomBytes } from 'node:crypto';
import { identity, type OutputOf, type Refusal, type Result } from '@reef/contracts';
import type { FeedEvent, Requests } from '@reef/messaging';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import { LRUCache } from 'lru-cache';
import { LIMITS } from '../limits.js';
import { refused } from '../http/refusals.js';
import { type Contexts, THE_EDGE } from './contexts.js';

export type Authenticated = OutputOf<typeof identity.queries.authenticate>;
type Answer = Result<Authenticated>;

const STRANGER: Refusal = refused('unauthenticated', 'this key or session is unknown, expired or revoked');

/**
 * Says who is behind a credential. Identity's answers are kept for 30 s, under a salted hash and never the credential itself, and
 * dropped at once when identity says that a key was revoked, a session ended, a role changed or a tenant was suspended.
 */
export class Authenticator {
  readonly #salt = randomBytes(32).toString('base64url');
  readonly #answers = new LRUCache<string, Answer>({ max: LIMITS.authenticationCacheEntries });
  readonly #asking = new Map<string, Promise<Answer>>();
  readonly #subscriptions: Subscription[] = [];
  /** Counts invalidations: an answer that was under way during one may be stale, and is not kept. */
  #generation = 0;

  constructor(
    private readonly nats: NatsConnection,
    private readonly requests: Requests,
    private readonly contexts: Contexts,
  ) {}

  start(): void {
    const { ApiKeyRevoked, LoggedOut, MemberJoined, TenantJoined, TenantResumed, TenantSuspended } = identity.events;
    const ofTenant = (answer: Authenticated, event: FeedEvent) =>
      answer.tenants.some(({ tenant }) => tenant === event.tenant);
    this.#dropOn(ApiKeyRevoked.pattern, (answer, event) => answer.principal.id === event.data['keyId']);
    this.#dropOn(TenantSuspended.pattern, ofTenant);
    this.#dropOn(TenantResumed.pattern, ofTenant);
    // The answer does not name its session or its user's memberships to come, so everybody who logged in is asked about again.
    for (const event of [LoggedOut, MemberJoined, TenantJoined])
      this.#dropOn(event.pattern, (answer) => answer.principal.kind === 'user');
    void this.#forgetOnReconnect();
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  async authenticate(credential: string): Promise<Answer> {
    if (credential.length > LIMITS.credentialChars) return STRANGER;
    const key = this.#keyOf(credential);
    const known = this.#answers.get(key);
    if (known) return hasExpired(known) ? STRANGER : known;
    // Requests that arrive together with one key ask once.
    let asking = this.#asking.get(key);
    if (!asking) {
      asking = this.#ask(key, credential).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }

  /** For the instance that ended the session itself and need not wait for the event. */
  forget(credential: string): void {
    this.#generation++;
    this.#answers.delete(this.#keyOf(credential));
  }

  async #ask(key: string, credential: string): Promise<Answer> {
    const generation = this.#generation;
    const onBehalfOf = this.contexts.of(THE_EDGE, key.slice(0, 16));
    const answer = await this.requests.send(identity.queries.authenticate, onBehalfOf, { credential });
    const known: Answer = answer.ok || answer.code !== 'credential_unknown' ? answer : STRANGER;
    const keepMs = known.ok ? LIMITS.authenticationCacheMs : known === STRANGER ? LIMITS.refusedCredentialCacheMs : 0; // Identity is away: that is no answer.
    if (keepMs > 0 && generation === this.#generation) this.#answers.set(key, known, { ttl: keepMs });
    return hasExpired(known) ? STRANGER : known;
  }

  #keyOf(credential: string): string {
    return hash('sha256', this.#salt + credential, 'base64url');
  }

  #dropOn(pattern: string, matches: (answer: Authenticated, event: FeedEvent) => boolean): void {
    const subscription = this.nats.subscribe(pattern, {
      callback: (error, message) => {
        if (error) return;
        this.#generation++;
        const event = message.json<FeedEvent>();
        for (const [key, answer] of this.#answers.entries()) {
          if (answer.ok && matches(answer.value, event)) this.#answers.delete(key);
        }
      },
    });
    this.#subscriptions.push(subscription);
  }

  /** What was revoked while the connection was down was not heard. */
  async #forgetOnReconnect(): Promise<void> {
    for await (const { type } of this.nats.status()) {
      if (type !== 'reconnect') continue;
      this.#generation++;
      this.#answers.clear();
    }
  }
}

const hasExpired = (answer: Answer) =>
  answer.ok && answer.value.expiresAt !== null && Date.parse(answer.value.expiresAt) <= Date.now();
