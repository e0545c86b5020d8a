// Verifies signatures with npm `http-signature` and `jose`: JSON lines in, `{"id", "valid", "error"}` lines out.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { createPublicKey, webcrypto } from 'node:crypto';
import { pathToFileURL } from 'node:url';

// Node.js 18 has WebCrypto, but not yet under this name.
globalThis.crypto ??= webcrypto;
// Packages are found where run.sh has installed them, not beside this file.
const require = createRequire(process.argv[2] + '/');
const httpSignature = require('http-signature');
const { flattenedVerify } = await import(pathToFileURL(require.resolve('jose')));

function cavage({ method, target, headers, key }) {
  const request = { method, url: target, headers };
  const parsed = httpSignature.parseRequest(request, {
    authorizationHeaderName: 'signature',
    headers: headers.signature.match(/headers="([^"]*)"/)[1].split(' '),
    strict: true,
  });
  return httpSignature.verifySignature(parsed, key);
}

async function jws({ jws, payload, key, crit }) {
  const [header, middle, signature] = jws.split('.');
  if (middle !== '') throw new Error('not detached');
  const octets = Buffer.from(payload, 'base64');
  const b64 = JSON.parse(Buffer.from(header, 'base64url')).b64 ?? true;
  const input = { protected: header, payload: b64 ? octets.toString('base64url') : new Uint8Array(octets), signature };
  const options = { crit: Object.fromEntries(crit.map((name) => [name, true])), algorithms: ['PS256'] };
  const { payload: verified } = await flattenedVerify(input, createPublicKey(key), options);
  return Buffer.from(verified).equals(octets);
}

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  const answer = { id: question.id, valid: false, error: '' };
  try {
    answer.valid = await (question.kind === 'jws' ? jws(question) : cavage(question));
  } catch (error) {
    answer.error = `${error.name}: ${error.message}`;
  }
  console.log(JSON.stringify(answer));
}
