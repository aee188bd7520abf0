// A login provider for tests/python/test_oidc.py: oidc-provider, unmodified, on a loopback port.
//
// The first line of standard output is the issuer. POST /test/client {client_id, client_secret, redirect_uri} says who may
// ask, before anybody does. POST /test/accounts replaces who there is: {NAME: {groups, ...}}; POST /test/clock
// {offset_secs} turns the provider's clock, so that what it signs is of another time.
'use strict';

const http = require('node:http');

const realNow = Date.now.bind(Date);
let offsetMs = 0;
Date.now = () => realNow() + offsetMs;

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

async function main() {
  const { default: Provider } = await import('oidc-provider');
  let accounts = {};
  let answer = (_request, response) => {
    response.statusCode = 503;
    response.end();
  };
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const begin = ({ client_id, client_secret, redirect_uri }) => {
    const provider = new Provider(issuer, {
      clients: [{ client_id, client_secret, redirect_uris: [redirect_uri] }],
      pkce: { required: () => true },
      claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email'], groups: ['groups'] },
      // As most providers do: claims stand in the ID token.
      conformIdTokenClaims: false,
      features: { devInteractions: { enabled: true } },
      findAccount: (_context, login) => {
        const account = accounts[login];
        if (account === undefined) return undefined;
        return { accountId: login, claims: async () => ({ sub: login, preferred_username: login, ...account }) };
      },
    });
    answer = provider.callback();
  };
  const controls = {
    '/test/client': begin,
    '/test/accounts': (body) => {
      accounts = body;
    },
    '/test/clock': ({ offset_secs }) => {
      offsetMs = offset_secs * 1000;
    },
  };
  server.on('request', async (request, response) => {
    const control = request.method === 'POST' ? controls[request.url] : undefined;
    if (control === undefined) return answer(request, response);
    control(await bodyOf(request));
    return response.end('{}');
  });
  process.stdout.write(`${issuer}\n`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
