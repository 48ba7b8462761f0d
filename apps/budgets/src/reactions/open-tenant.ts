import { Controller } from '@nestjs/common';
import { identity, type TenantContext } from '@reef/contracts';
import { type Delivered, OnEvent } from '@reef/messaging';
import { Books } from '../books.js';

/** A new tenant gets its first limits at once, so that its balance shows them before its first call. */
@Controller()
export class OpenTenant {
  constructor(private readonly books: Books) {}

  @OnEvent(identity.events.TenantCreated)
  async on(event: Delivered<typeof identity.events.TenantCreated>, context: TenantContext): Promise<void> {
    const opening = await this.books.openNow({ ...context, tenant: event.data.tenant });
    if (!opening.ok) throw new Error(`a new tenant's books could not be opened: ${opening.code}`); // The event comes again.
  }
}
