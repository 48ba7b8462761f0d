import { Controller } from '@nestjs/common';
import { identity, type InputOf, type ResultOf, type TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { Command } from '@reef/messaging';
import { contracted } from '@reef/service';
import { keyring, streamOf } from './aggregates.js';
import { Credentials } from './credentials/credentials.js';
import { unlessRole } from './permission.js';

const { createApiKey, revokeApiKey } = identity.commands;

@Controller()
export class KeyCommands {
  constructor(
    private readonly store: EventStore,
    private readonly credentials: Credentials,
  ) {}

  /** The reply is the only place where the key's secret is ever told. */
  @Command(createApiKey)
  async createApiKey(
    input: InputOf<typeof createApiKey>,
    context: TenantContext,
  ): Promise<ResultOf<typeof createApiKey>> {
    const forbidden = unlessRole(context, 'owner', 'admin');
    if (forbidden) return forbidden;
    const keyId = this.credentials.newKeyId();
    const key = this.credentials.issueKey(context.tenant, keyId);
    const data = {
      ...input,
      keyId,
      secretHash: key.secretHash,
      createdBy: context.principal.id,
      createdAt: new Date().toISOString(),
    };
    const result = await this.store.execute(keyring, {
      tenant: context.tenant,
      stream: streamOf.keyring(context.tenant),
      command: { type: 'create', data },
      context,
      sealReply: true,
      reply: () => ({ keyId, apiKey: key.text }),
    });
    return contracted(createApiKey, result);
  }

  @Command(revokeApiKey)
  async revokeApiKey(
    input: InputOf<typeof revokeApiKey>,
    context: TenantContext,
  ): Promise<ResultOf<typeof revokeApiKey>> {
    const forbidden = unlessRole(context, 'owner', 'admin');
    if (forbidden) return forbidden;
    const result = await this.store.execute(keyring, {
      tenant: context.tenant,
      stream: streamOf.keyring(context.tenant),
      command: { type: 'revoke', data: { ...input, revokedAt: new Date().toISOString() } },
      context,
      reply: () => ({}),
    });
    return contracted(revokeApiKey, result);
  }
}
