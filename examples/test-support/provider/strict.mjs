// A strict OpenID Connect provider for tests: the npm package `oidc-provider`, certified by the OpenID
// Foundation, on a free loopback port, with plain forms that a person, a browser driver or an HTTP client can use.
//
// Run by `test_support::provider::strict`: node strict.mjs <folder with node_modules> <configuration as JSON>
// Prints one line, {"issuer":"http://127.0.0.1:<port>"}, and ends when its standard input does.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// Standard output is for the one line, and nobody reads on after it.
console.log = console.info = console.error;

const [, , folder, configuration] = process.argv;
const { clientId, clientSecret, redirectUris, users } = JSON.parse(configuration);

// An import looks beside this file, and the package is elsewhere.
const home = join(folder, 'node_modules', 'oidc-provider');
const { exports, main } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
const entry = [exports?.['.'] ?? exports, main]
  .map((e) => (typeof e === 'string' ? e : e?.import ?? e?.default))
  .map((e) => (typeof e === 'string' ? e : e?.default))
  .find((e) => typeof e === 'string');
const { Provider } = await import(pathToFileURL(join(home, entry)).href);

const jwk = (type, options, alg, kid) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, kid, use: 'sig',
});

const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: clientId,
    client_secret: clientSecret,
    redirect_uris: redirectUris,
    response_types: ['code'],
    grant_types: ['authorization_code'],
  }],
  jwks: {
    keys: [
      jwk('rsa', { modulusLength: 2048 }, 'RS256', 'rsa'),
      jwk('ec', { namedCurve: 'P-256' }, 'ES256', 'ec'),
    ],
  },
  cookies: { keys: ['of a test'] },
  scopes: ['openid', 'email', 'profile', 'groups'],
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username'],
    groups: ['groups'],
  },
  pkce: { required: () => true },
  ttl: { AccessToken: 300, AuthorizationCode: 60, Grant: 600, IdToken: 300, Interaction: 600, Session: 600 },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_context, id) => {
    const user = users.find((known) => known.sub === id);
    return user && { accountId: id, claims: () => user };
  },
});

const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>${title}</title>
<style>body{font:16px system-ui;max-width:20em;margin:4em auto}input,button{font:inherit;width:100%;margin:.4em 0}</style>
<h1>${title}</h1>${body}</html>`;

async function form(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}

async function interact(request, response) {
  const { uid, prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    const fields = prompt.name === 'login'
      ? `<label>Name <input name="login" autofocus autocomplete="username"></label>
         <label>Password <input name="password" type="password" autocomplete="current-password"></label>`
      : `<p>${clientId.replace(/[&<>"]/g, '')} asks who you are.</p>`;
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(page(
      prompt.name === 'login' ? 'Sign in' : 'Agree',
      `<form method="post" action="/interaction/${uid}">${fields}<button type="submit">Continue</button></form>`,
    ));
    return;
  }
  const answers = await form(request);
  let result;
  if (prompt.name === 'login') {
    const user = users.find((known) => known.sub === answers.get('login'));
    result = user && answers.get('password') === user.password
      ? { login: { accountId: user.sub } }
      : { error: 'access_denied', error_description: 'wrong name or password' };
  } else {
    const grant = grantId
      ? await provider.Grant.find(grantId)
      : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result = { consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

const protocol = provider.callback();
server.on('request', (request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    protocol(request, response);
    return;
  }
  interact(request, response).catch((error) => {
    response.statusCode = 400;
    response.end(page('Error', String(error.message).replace(/[&<>]/g, '')));
  });
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.stdout.write(`${JSON.stringify({ issuer })}\n`);
