/** A word for a POSIX shell that stands for itself. */
const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** The host and port at which agents call the server, as the address of the script for installing tells it. */
export const agentAddress = (installerUrl: string) => new URL(installerUrl).host;

/** Whether only the server's own machine can call an address. */
export function isLoopback(address: string): boolean {
  const { hostname } = new URL(`https://${address}`);
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}

/**
 * One line for a POSIX shell on a Linux desktop: fetches the script, compares its digest, and only then runs it with
 * the token on standard input, which no list of processes shows. `outfitter agent install-command` prints the same.
 */
export function installLine(installer: { url: string; sha256: string }, token: string): string {
  const url = quoted(installer.url);
  return (
    `(d=$(mktemp -d) && cd "$d" && { curl -fsSk -o install.sh ${url} || wget -q --no-check-certificate -O install.sh ${url}; } ` +
    `&& echo '${installer.sha256}  install.sh' | sha256sum -c && printf '%s\\n' ${quoted(token)} | sh install.sh --token -; s=$?; rm -rf "$d"; exit $s)`
  );
}
