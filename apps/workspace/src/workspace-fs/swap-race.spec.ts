import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from '@jest/globals';
import { report, secret, strategies, temporaryWorkspace } from './testing/temporary-workspace.js';

const raceMs = 2_000;

/**
 * Exchanges, as fast as it can and each in one step (renameat2 with RENAME_EXCHANGE): a directory for a link to the folder outside, one
 * higher up likewise, and a file for a link to the secret.
 */
const swapper = `
  const [koffiPath, acme, ms] = process.argv.slice(1);
  const koffi = require(koffiPath);
  const number = { x64: 316, arm64: 276 }[process.arch];
  const exchange = koffi.load(null).func('long syscall(long, int, const char *, int, const char *, unsigned int)');
  process.chdir(acme);
  process.stdout.write('ready');
  for (const end = Date.now() + Number(ms); Date.now() < end; ) {
    for (const name of ['door', 'upper', 'leaf']) exchange(number, -100, name, -100, name + '.link', 2);
  }
`;
const koffiPath = createRequire(import.meta.url).resolve('koffi');

test.each(strategies)(
  '13 (%s): while another process swaps directories and files for links, nothing outside is read, listed or written',
  async (strategy) => {
    using workspace = temporaryWorkspace({ strategy });
    const { acme, outside, files } = workspace;
    mkdirSync(`${outside}/inner`);
    writeFileSync(`${outside}/inner/secret`, secret);
    mkdirSync(`${acme}/door`);
    mkdirSync(`${acme}/upper/inner`, { recursive: true });
    for (const path of ['door/secret', 'upper/inner/secret', 'leaf']) writeFileSync(`${acme}/${path}`, 'mine');
    symlinkSync(outside, `${acme}/door.link`);
    symlinkSync(outside, `${acme}/upper.link`);
    symlinkSync(`${outside}/secret`, `${acme}/leaf.link`);
    const before = workspace.snapshotElsewhere();

    const other = spawn(process.execPath, ['-e', swapper, koffiPath, acme, String(raceMs)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(other, 'exit');
    await once(other.stdout, 'data');
    let running = true;
    void exited.then(() => (running = false));

    const tries = { read: 0, list: 0, write: 0, remove: 0 };
    let answered = 0;
    let escapes = 0;
    let nakedEscapes = 0;
    for (let round = 0; running; round++) {
      for (const path of ['door/secret', 'upper/inner/secret', 'leaf']) {
        const read = await files.read('acme', path);
        tries.read++;
        if (read.ok) answered++;
        if (read.ok && read.bytes.toString() !== 'mine' && read.bytes.toString() !== 'written') escapes++;
        // The control: the same path by plain file system calls must get outside, or nothing was being raced.
        try {
          if (readFileSync(`${acme}/${path}`, 'utf8') === secret) nakedEscapes++;
        } catch {
          // A path may change while the system follows it.
        }
      }
      if (round % 8 === 0) {
        for (const path of ['door', 'upper']) {
          const listed = await files.list('acme', path, { recursive: true });
          tries.list++;
          if (listed.ok && path === 'door' && listed.entries.some((entry) => entry.path.includes('inner'))) escapes++;
        }
        const written = await Promise.all(
          ['door/written', 'upper/inner/written'].map((path) => files.write('acme', path, Buffer.from('written'))),
        );
        tries.write += written.length;
        answered += written.filter((answer) => answer.ok).length;
        await files.remove('acme', 'door/written');
        await files.remove('acme', 'upper/inner/written');
        tries.remove += 2;
      }
      if (round % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await exited;

    expect(escapes).toBe(0);
    expect(workspace.snapshotElsewhere()).toEqual(before);
    expect(readdirSync(outside).sort()).toEqual(['inner', 'secret']);
    expect(nakedEscapes).toBeGreaterThan(0);
    expect(answered).toBeGreaterThan(0);
    const total = tries.read + tries.list + tries.write + tries.remove;
    report(
      `swap race, ${strategy}: ${total} tries (${JSON.stringify(tries)}), ${escapes} escapes; plain calls escaped ${nakedEscapes} times`,
    );
  },
  30_000,
);
