import { Module } from '@nestjs/common';
import { environment, ReefModule, type ServiceDefinition } from '@reef/service';
import { z } from 'zod';
import { AccountCommands } from './accounts.commands.js';
import { email, keyring, tenant, user } from './aggregates.js';
import { AuthenticateQuery } from './authenticate.query.js';
import { Credentials, PLATFORM_KEY } from './credentials/credentials.js';
import { Passwords } from './credentials/passwords.js';
import { Pepper } from './credentials/pepper.js';
import { KeyCommands } from './keys.commands.js';
import { migrations } from './migrations/index.js';
import { PlatformQueries } from './platform.queries.js';
import { ApiKeyRow } from './projections/api-keys.js';
import { MemberRow } from './projections/members.js';
import { TenantQueries } from './tenant.queries.js';
import { TenantCommands } from './tenants.commands.js';

export const definition: ServiceDefinition = {
  name: 'identity',
  aggregates: [tenant, keyring, user, email],
  entities: [MemberRow, ApiKeyRow],
  migrations,
};

const settings = z.object({
  /** A file with 32 bytes in base64. Another pepper makes every key, session and address unknown. */
  API_KEY_PEPPER_FILE: z.string().min(1),
  PLATFORM_KEY: z.string().regex(PLATFORM_KEY, 'must be reef_platform_<id>_<secret of at least 16>').optional(),
});

@Module({
  imports: [ReefModule.for(definition)],
  controllers: [AccountCommands, KeyCommands, TenantCommands, AuthenticateQuery, TenantQueries, PlatformQueries],
  providers: [
    Passwords,
    { provide: Pepper, useFactory: () => Pepper.fromFile(environment(settings).API_KEY_PEPPER_FILE) },
    {
      provide: Credentials,
      inject: [Pepper],
      useFactory: (pepper: Pepper) => new Credentials(pepper, environment(settings).PLATFORM_KEY),
    },
  ],
})
export class IdentityModule {}
