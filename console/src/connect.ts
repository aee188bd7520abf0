/** The host and port at which agents call the server, as the address of the script for installing tells it. */
export const agentAddress = (installerUrl: string) => new URL(installerUrl).host;

/** Whether only the server's own machine can call an address. */
export function isLoopback(address: string): boolean {
  const { hostname } = new URL(`https://${address}`);
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}

/**
 * One line for a POSIX shell on a Linux desktop: the server's, with the token on its standard input, which no list of
 * processes shows. `outfitter agent install-command` prints the same.
 */
export function installLine(command: string, token: string): string {
  // Tokens have letters, digits, `.`, `_` and `-`.
  return `printf '%s\\n' '${token}' | ${command}`;
}
