export {
  type Command,
  type Event,
  type EventOf,
  type InputOf,
  type OutputOf,
  type Query,
  type Refusal,
  type RefusalOf,
  type Request,
  type Result,
  type ResultOf,
  type ServiceContract,
  type Success,
  TRANSPORT_REFUSALS,
  type TransportRefusal,
} from './declare.js';
export { type ContextClaims, contextClaims, type Principal, type TenantContext } from './tenant-context.js';
export {
  agentId,
  endUser,
  instant,
  personalFieldsOf,
  picoUsd,
  PLATFORM,
  sessionKey,
  tenantId,
  uuid,
} from './values.js';
export { apiKeyView, identity, role } from './identity.js';
export { attribution, budgets, rateStanding, turnSource } from './budgets.js';
export { limit, limitStanding, pressure, timeZone } from './limits.js';
export { plan, type Plan, planId, planLimit, rates, topUpStanding } from './plans.js';
export { modelId, price, usage, type Usage } from './pricing.js';
export {
  agentView,
  ALIVE_EVERY_MS,
  chatMessage,
  dispatch,
  liveFrame,
  type LiveFrame,
  livePattern,
  liveSubject,
  turnStatus,
  turnView,
} from './dispatch.js';
export { filePath, fileView, PIECE_BYTES_MAX, skillView, workspace, workspaceChanged } from './workspace.js';
export { memory, memoryChanged, memoryView } from './memory.js';
export { costGroup, telemetry } from './telemetry.js';
export { webhookDelivery, webhookMessageType, webhooks, webhookView } from './webhooks.js';
