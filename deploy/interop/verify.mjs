// Verifies signatures with npm `http-signature`, `http-message-signatures` and `jose`: JSON lines in, `{"id", "valid", "error"}` lines out.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { constants, createPublicKey, verify, webcrypto } from 'node:crypto';
import { pathToFileURL } from 'node:url';

// Node.js 18 has WebCrypto, but not yet under this name.
globalThis.crypto ??= webcrypto;
// Packages are found where run.sh has installed them, not beside this file.
const require = createRequire(process.argv[2] + '/');
const httpSignature = require('http-signature');
const { createVerifier, httpbis } = require('http-message-signatures');
const { flattenedVerify } = await import(pathToFileURL(require.resolve('jose')));

function cavage({ method, target, headers, key, carrier = 'signature' }) {
  const request = { method, url: target, headers };
  const parsed = httpSignature.parseRequest(request, {
    authorizationHeaderName: carrier,
    headers: headers[carrier].match(/headers="([^"]*)"/)[1].split(' '),
    strict: true,
  });
  return httpSignature.verifySignature(parsed, key);
}

// RFC 9421 section 3.3.7: an algorithm of JOSE that the key says, not the signature.
function ps256(key) {
  const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  return async (base, signature) => verify('sha256', base, pss, signature);
}

function httpMessage({ method, url, headers, key, alg, status, request_headers: requestHeaders }) {
  const verifier = { algs: [alg], verify: alg === 'PS256' ? ps256(key) : createVerifier(createPublicKey(key), alg) };
  const config = { keyLookup: async () => verifier };
  if (status === undefined) return httpbis.verifyMessage(config, { method, url, headers });
  return httpbis.verifyMessage(config, { status, headers }, { method, url, headers: requestHeaders });
}

async function jws({ jws, payload, key, crit, alg = 'PS256' }) {
  const [header, middle, signature] = jws.split('.');
  if (middle !== '') throw new Error('not detached');
  const octets = Buffer.from(payload, 'base64');
  const b64 = JSON.parse(Buffer.from(header, 'base64url')).b64 ?? true;
  const input = { protected: header, payload: b64 ? octets.toString('base64url') : new Uint8Array(octets), signature };
  const options = { crit: Object.fromEntries(crit.map((name) => [name, true])), algorithms: [alg] };
  const { payload: verified } = await flattenedVerify(input, createPublicKey(key), options);
  return Buffer.from(verified).equals(octets);
}

const verifiers = { cavage, jws, http_message: httpMessage };

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  const answer = { id: question.id, valid: false, error: '' };
  try {
    answer.valid = (await verifiers[question.kind](question)) === true;
  } catch (error) {
    answer.error = `${error.name}: ${error.message}`;
  }
  console.log(JSON.stringify(answer));
}
