// Headless Chromium, driven by JSON lines on standard input: each has an expression for its page, and is
// answered by a line on standard output with the result. Controlled through a pipe: no port is opened.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';

// The page's script, bundled with mediasoup-client.
const bundled = await build({
  entryPoints: [process.argv[2]], bundle: true, write: false, format: 'iife', define: { global: 'window' },
  logLevel: 'error',
});
const profile = mkdtempSync(join(tmpdir(), 'vas-browser-'));
const browser = spawn('chromium', [
  '--headless=new', '--remote-debugging-pipe', `--user-data-dir=${profile}`, '--no-sandbox', '--no-first-run',
  '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update',
  '--autoplay-policy=no-user-gesture-required',
  // Real addresses, including loopback, instead of multicast DNS names.
  '--disable-features=WebRtcHideLocalIpsWithMdns', '--allow-loopback-in-peer-connection',
  'about:blank',
], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
browser.on('exit', () => {
  rmSync(profile, { recursive: true, force: true });
  process.exit(0);
});

// The DevTools protocol: JSON messages, each ended by a zero byte.
const [to, from] = [browser.stdio[3], browser.stdio[4]];
const waiting = new Map();
let [next, rest] = [0, ''];
from.setEncoding('utf8').on('data', (text) => {
  const messages = (rest + text).split('\0');
  rest = messages.pop();
  for (const { id, result, error } of messages.map((it) => JSON.parse(it))) {
    const [resolve, reject] = waiting.get(id) ?? [];
    waiting.delete(id);
    if (error) reject?.(new Error(error.message));
    else resolve?.(result);
  }
});
const call = (method, params = {}, sessionId = undefined) => new Promise((resolve, reject) => {
  next += 1;
  waiting.set(next, [resolve, reject]);
  to.write(`${JSON.stringify({ id: next, method, params, sessionId })}\0`);
});

const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
const evaluate = async (expression) => {
  const how = { expression, awaitPromise: true, returnByValue: true };
  const { result, exceptionDetails: thrown } = await call('Runtime.evaluate', how, sessionId);
  if (thrown) throw new Error(thrown.exception?.description ?? thrown.text);
  return result.value ?? null;
};
await evaluate(bundled.outputFiles[0].text);

for await (const line of createInterface({ input: process.stdin })) {
  const { n, expression } = JSON.parse(line);
  evaluate(expression)
    .then((result) => ({ n, result }), (error) => ({ n, error: String(error) }))
    .then((answer) => console.log(JSON.stringify(answer)));
}
await call('Browser.close');
