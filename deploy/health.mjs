// Exit code 0 when the service in this container is ready: its operations port, or the port it serves on.
const { OPS_PORT, PORT, HEALTH_PATH = '/readyz' } = process.env;
const answer = await fetch(`http://127.0.0.1:${OPS_PORT ?? PORT}${HEALTH_PATH}`, {
  signal: AbortSignal.timeout(2_500),
});
process.exit(answer.ok ? 0 : 1);
