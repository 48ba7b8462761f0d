/** Errors after which the database server or the connection to it, not the statement, was at fault: they end by themselves. */
export function isConnectionFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: string }).code ?? '';
  return (
    /^(08|57P|53300|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_)/.test(code) ||
    /terminat|timeout|connection/i.test(error.message)
  );
}
