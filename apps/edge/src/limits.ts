/** Every bound of the edge, in one place. Bytes, ms or counts, as the name's end says. */
export const LIMITS = {
  headerBytes: 16 * 1024,
  /** Time a client has to send its whole request, ms. */
  requestTimeoutMs: 30_000,
  keepAliveMs: 72_000,
  /** A JSON body under /api, unless the route says otherwise. */
  bodyBytes: 64 * 1024,
  priceBookBytes: 900 * 1024,
  chatBodyBytes: 2 * 1024 * 1024,
  fileBytes: 10 * 1024 * 1024,
  archiveBytes: 20 * 1024 * 1024,
  idempotencyKeyChars: 200,
  credentialChars: 300,
  /** Turns and live activity streams open at once. */
  openStreams: 5_000,
  /** What may wait for a slow reader before it is dropped. */
  clientBufferBytes: 1024 * 1024,
  turnMs: 10 * 60_000,
  replyChars: 4_000_000,
  /** Frames that may arrive before dispatch has accepted the turn. */
  earlyFrames: 1_000,
  authenticationCacheEntries: 10_000,
  authenticationCacheMs: 30_000,
  refusedCredentialCacheMs: 2_000,
  contextCacheEntries: 10_000,
  contextCacheMs: 30_000,
  activityEveryMs: 250,
  activityHeartbeatMs: 15_000,
  /** A live activity stream ends after this long; browsers reconnect by themselves. */
  activityStreamMs: 60 * 60_000,
  readyCheckMs: 1_500,
  drainMs: 15_000,
} as const;
