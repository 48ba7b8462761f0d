import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';

/** Path → bytes. */
export type Files = ReadonlyMap<string, Buffer>;

/** As people do it: `tar -czf` on a folder. */
export function tarGz(files: Files): Buffer<ArrayBuffer> {
  return inFolder((folder) => {
    for (const [path, bytes] of files) {
      mkdirSync(dirname(join(folder, 'in', path)), { recursive: true });
      writeFileSync(join(folder, 'in', path), bytes);
    }
    execFileSync('tar', ['-czf', join(folder, 'out.tar.gz'), '-C', join(folder, 'in'), '.']);
    return readFileSync(join(folder, 'out.tar.gz'));
  });
}

export function untarGz(archive: Buffer): Files {
  return inFolder((folder) => {
    writeFileSync(join(folder, 'in.tar.gz'), archive);
    mkdirSync(join(folder, 'out'));
    execFileSync('tar', ['-xzf', join(folder, 'in.tar.gz'), '-C', join(folder, 'out')]);
    const paths = readdirSync(join(folder, 'out'), { recursive: true, encoding: 'utf8' });
    const files = paths.filter((path) => statSync(join(folder, 'out', path)).isFile());
    return new Map(files.map((path) => [path, readFileSync(join(folder, 'out', path))]));
  });
}

/** A zip of stored entries (APPNOTE 4.3): not every machine has `zip`. */
export function zip(files: Files): Buffer<ArrayBuffer> {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [path, bytes] of files) {
    const name = Buffer.from(path);
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0); // version needed
    shared.writeUInt16LE(0x0800, 2); // names are UTF-8
    shared.writeUInt16LE(0x21, 8); // 1 January 1980
    shared.writeUInt32LE(crc32(bytes), 10);
    shared.writeUInt32LE(bytes.length, 14);
    shared.writeUInt32LE(bytes.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), shared, name, bytes]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), shared, place, name]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(files.size, 8);
  end.writeUInt16LE(files.size, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

function inFolder<Result>(work: (folder: string) => Result): Result {
  const folder = mkdtempSync(join(tmpdir(), 'reef-archive-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
