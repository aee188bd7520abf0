// The SHA-256 of a file, piece by piece, beside the page. The browser's own `crypto.subtle` wants all bytes at once.
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';

const PIECE_BYTES = 4 * 1024 * 1024;

self.addEventListener('message', (event: MessageEvent<File>) => {
  const digest = sha256.create();
  const read = async () => {
    for (let start = 0; start < event.data.size; start += PIECE_BYTES) {
      digest.update(new Uint8Array(await event.data.slice(start, start + PIECE_BYTES).arrayBuffer()));
    }
    return bytesToHex(digest.digest());
  };
  read().then(
    (sha256) => self.postMessage({ sha256 }),
    (error: unknown) => self.postMessage({ error: String(error) }),
  );
});
