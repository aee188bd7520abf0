import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Where the server embeds the console from. `placeholder.html` lies there too and is tracked: it stays. */
const OUTPUT = 'dist';

/** The pages that browsers begin with: the console, and the portal of end users, which shares its files. */
const PAGES = ['index.html', 'portal.html'];

/** Largest first load, in bytes as sent (gzip): start page, its scripts and styles. */
const FIRST_LOAD_LIMIT = 300_000;

function cleanOutput(): Plugin {
  return {
    name: 'clean-output',
    apply: 'build',
    buildStart() {
      for (const name of readdirSync(OUTPUT)) {
        if (name !== 'placeholder.html') rmSync(join(OUTPUT, name), { recursive: true });
      }
    },
  };
}

/** Lays a gzip copy beside each text file, so that the server never compresses, and weighs the first load. */
function compressAndWeigh(): Plugin {
  return {
    name: 'compress-and-weigh',
    apply: 'build',
    closeBundle() {
      const files = readdirSync(OUTPUT, { recursive: true, encoding: 'utf8' });
      const sizes = new Map<string, number>();
      for (const name of files.filter((name) => /\.(js|css|html|svg)$/.test(name) && name !== 'placeholder.html')) {
        const zipped = gzipSync(readFileSync(join(OUTPUT, name)), { level: 9 });
        writeFileSync(join(OUTPUT, `${name}.gz`), zipped);
        sizes.set(name.replaceAll('\\', '/'), zipped.length);
      }
      for (const start of PAGES) {
        const page = readFileSync(join(OUTPUT, start), 'utf8');
        const linked = [...page.matchAll(/(?:src|href)="\/console\/([^"]+\.(?:js|css))"/g)].map((match) => match[1] ?? '');
        const total = [start, ...linked].reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
        if (total > FIRST_LOAD_LIMIT) throw new Error(`the first load of ${start} is ${total} bytes, more than ${FIRST_LOAD_LIMIT}`);
        console.log(`first load of ${start}: ${Math.round(total / 1000)} kB gzip of at most ${FIRST_LOAD_LIMIT / 1000} kB`);
      }
    },
  };
}

export default defineConfig({
  base: '/console/',
  plugins: [cleanOutput(), react(), compressAndWeigh()],
  build: { outDir: OUTPUT, emptyOutDir: false, sourcemap: false, target: 'es2022', chunkSizeWarningLimit: 900, rolldownOptions: { input: PAGES } },
  server: {
    // `npm run dev` against a running server, e.g. of `outfitter demo --keep`.
    proxy: Object.fromEntries(
      ['/api', '/v1', '/v2', '/v3', '/icons', '/login', '/openapi.json'].map((path) => [
        path,
        { target: process.env['OUTFITTER_ENDPOINT'] ?? 'http://127.0.0.1:8080', changeOrigin: false },
      ]),
    ),
  },
});
