import { readdirSync } from 'node:fs';
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from '@jest/globals';
import { report, temporaryWorkspace } from '../workspace-fs/testing/temporary-workspace.js';
import type { ArchiveLimits } from './archive-entry.js';
import { readArchive } from './read-archive.js';
import { importArchive } from './workspace-archive.js';

let archives = 0;
afterAll(() => report(`hostile archives: ${archives} built, 0 let anything be written`));

/** The code an archive is refused with, having made sure that an import of it writes nothing at all. */
async function refusalOf(archive: Buffer, limits: Partial<ArchiveLimits> = {}): Promise<string> {
  using workspace = temporaryWorkspace();
  const before = workspace.snapshotElsewhere();
  const answer = await importArchive(workspace.files, 'acme', archive, limits);
  archives++;
  expect(workspace.snapshotElsewhere()).toEqual(before);
  if (answer.ok) return 'accepted';
  expect(readdirSync(workspace.acme)).toEqual([]);
  return answer.code;
}

type TarEntry = {
  name: string;
  type?: string;
  link?: string;
  content?: string | Buffer;
  prefix?: string;
  sizeBytes?: number;
};

function tarHeader({
  name,
  type = '0',
  link = '',
  content = '',
  prefix = '',
  sizeBytes = Buffer.byteLength(content),
}: TarEntry): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write(type, 156);
  header.write(link, 157, 100);
  header.write('ustar\x0000', 257);
  header.write(prefix, 345, 155);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

const tarEntry = (entry: TarEntry): Buffer => {
  const content = Buffer.from(entry.content ?? '');
  return Buffer.concat([tarHeader(entry), content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
};

const tarGz = (...entries: TarEntry[]): Buffer =>
  gzipSync(Buffer.concat([...entries.map(tarEntry), Buffer.alloc(1024)]));

/** An extended header that says something else about the entry after it. */
const pax = (facts: Record<string, string>, type = 'x'): TarEntry => {
  const records = Object.entries(facts).map(([key, value]) => {
    const body = ` ${key}=${value}\n`;
    let length = Buffer.byteLength(body) + 1;
    while (String(length).length + Buffer.byteLength(body) !== length) length++;
    return `${length}${body}`;
  });
  return { name: 'pax', type, content: records.join('') };
};

type ZipEntry = {
  name: string | Buffer;
  content?: Buffer;
  mode?: number;
  flags?: number;
  method?: number;
  sizeBytes?: number;
  crc?: number;
  packed?: Buffer;
  local?: Partial<{ name: string; method: number; sizeBytes: number; crc: number; flags: number }>;
  /** Takes the place of the entry's own bytes: the local header of an earlier entry is pointed at instead. */
  sharesOffset?: boolean;
};

function zip(entries: ZipEntry[], end: Partial<{ count: number; comment: Buffer }> = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  let lastOffset = 0;
  for (const entry of entries) {
    const name = Buffer.from(entry.name as string);
    const content = entry.content ?? Buffer.from('content');
    const method = entry.method ?? 8;
    const packed = entry.packed ?? (method === 0 ? content : deflateRawSync(content));
    const facts = {
      name,
      method,
      sizeBytes: entry.sizeBytes ?? content.length,
      crc: entry.crc ?? crc32(content),
      flags: entry.flags ?? 0x800,
    };
    const local = { ...facts, ...entry.local, name: Buffer.from(entry.local?.name ?? name) };
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    header.writeUInt16LE(20, 4);
    header.writeUInt16LE(local.flags, 6);
    header.writeUInt16LE(local.method, 8);
    header.writeUInt32LE(local.crc, 14);
    header.writeUInt32LE(packed.length, 18);
    header.writeUInt32LE(local.sizeBytes, 22);
    header.writeUInt16LE(local.name.length, 26);
    if (!entry.sharesOffset) lastOffset = offset;
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE((3 << 8) | 20, 4);
    central.writeUInt16LE(20, 6);
    central.writeUInt16LE(facts.flags, 8);
    central.writeUInt16LE(facts.method, 10);
    central.writeUInt32LE(facts.crc, 16);
    central.writeUInt32LE(packed.length, 20);
    central.writeUInt32LE(facts.sizeBytes, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(((entry.mode ?? 0o100644) << 16) >>> 0, 38);
    central.writeUInt32LE(lastOffset, 42);
    directory.push(Buffer.concat([central, name]));
    if (entry.sharesOffset) continue;
    const part = Buffer.concat([header, local.name, packed]);
    parts.push(part);
    offset += part.length;
  }
  const comment = end.comment ?? Buffer.alloc(0);
  const tail = Buffer.alloc(22);
  const directoryBytes = Buffer.concat(directory);
  tail.writeUInt32LE(0x06054b50, 0);
  tail.writeUInt16LE(end.count ?? entries.length, 8);
  tail.writeUInt16LE(end.count ?? entries.length, 10);
  tail.writeUInt32LE(directoryBytes.length, 12);
  tail.writeUInt32LE(offset, 16);
  tail.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...parts, directoryBytes, tail, comment]);
}

const badNames = [
  '../x',
  'a/../../x',
  '/etc/passwd',
  '//x',
  'a//b',
  'a/./b',
  'a\\b',
  '..\\x',
  'C:\\x',
  'a\nb',
  'a\u202eb',
  '\uff0e\uff0e/x',
  'a ',
  'x'.repeat(256),
];
const twins: [string, string][] = [
  ['a', 'a'],
  ['README.md', 'readme.md'],
  ['caf\u00e9', 'cafe\u0301'],
  ['stra\u00dfe', 'STRASSE'],
  ['\ufb01le', 'file'],
  ['Notes/a', 'notes/b'],
  ['a', 'a/b'],
  ['a/b', 'a'],
];

describe('class 21: a tar.gz', () => {
  test('of ordinary files is accepted, as tar itself would make it', async () => {
    const entries = [
      { name: './', type: '5' },
      { name: './AGENTS.md', content: 'x' },
      { name: 'skills/', type: '5' },
      { name: 'skills/a', content: '' },
    ];
    expect(await readArchive(tarGz(...entries))).toMatchObject({
      ok: true,
      entries: [
        { path: 'AGENTS.md', kind: 'file' },
        { path: 'skills', kind: 'directory' },
        { path: 'skills/a', kind: 'file' },
      ],
    });
  });

  test.each(badNames)('with the name %j is refused, whole', async (name) => {
    const spelled =
      Buffer.byteLength(name) > 100 ? [pax({ path: name }), { name: 'short', content: 'x' }] : [{ name, content: 'x' }];
    expect(await refusalOf(tarGz({ name: 'good', content: 'good' }, ...spelled))).toBe('path_refused');
    expect(
      await refusalOf(
        tarGz({ name: 'good', content: 'good' }, pax({ path: name }), { name: 'harmless', content: 'x' }),
      ),
    ).toBe('path_refused');
    expect(
      await refusalOf(
        tarGz({ name: '././@LongLink', type: 'L', content: `${name}\0` }, { name: 'harmless', content: 'x' }),
      ),
    ).toBe('path_refused');
  });

  test('whose prefix climbs out is refused', async () => {
    expect(await refusalOf(tarGz({ name: 'x', prefix: '../..', content: 'x' }))).toBe('path_refused');
  });

  test('whose global header renames every entry is refused', async () => {
    expect(await refusalOf(tarGz(pax({ path: '../x' }, 'g'), pax({ comment: 'x' }), { name: 'a', content: 'x' }))).toBe(
      'path_refused',
    );
  });

  test.each(['1', '2', '3', '4', '6', '7', 'S', 'Z', 'V'])('with an entry of type %s is refused', async (type) => {
    expect(await refusalOf(tarGz({ name: 'good', content: 'x' }, { name: 'entry', type, link: '/etc/passwd' }))).toBe(
      'kind_refused',
    );
  });

  test('that makes a link and then writes through it is refused', async () => {
    expect(await refusalOf(tarGz({ name: 'door', type: '2', link: '/tmp' }, { name: 'door/x', content: 'x' }))).toBe(
      'kind_refused',
    );
  });

  test('with a sparse file is refused', async () => {
    expect(
      await refusalOf(tarGz(pax({ 'GNU.sparse.major': '1', 'GNU.sparse.name': '../x' }), { name: 'a', content: 'x' })),
    ).toBe('kind_refused');
  });

  test('with a directory that has content, where another entry could hide, is refused', async () => {
    expect(await refusalOf(tarGz({ name: 'd/', type: '5', content: tarHeader({ name: 'hidden' }) }))).toBe(
      'header_mismatch',
    );
  });

  test('with a name that is not UTF-8 is refused', async () => {
    const header = tarHeader({ name: 'axb' });
    header[1] = 0xff;
    header.write('        ', 148);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    expect(await refusalOf(gzipSync(Buffer.concat([header, Buffer.alloc(1024)])))).toBe('path_refused');
  });

  test.each(twins)('with %j and %j is refused', async (one, other) => {
    expect(await refusalOf(tarGz({ name: one, content: '1' }, { name: other, content: '2' }))).toBe('duplicate_path');
  });

  test('that is cut short, has a wrong checksum or is no tar at all is refused', async () => {
    const whole = tarGz({ name: 'a', content: 'x'.repeat(5_000) });
    const header = tarHeader({ name: 'a' });
    header[0] = 0x62;
    for (const archive of [
      whole.subarray(0, -20),
      gzipSync(Buffer.concat([tarEntry({ name: 'a', content: 'abc' }).subarray(0, 514)])),
      gzipSync(header),
      gzipSync('hello'),
    ]) {
      expect(await refusalOf(archive)).toBe('damaged');
    }
  });
});

describe('class 21: a zip', () => {
  test('of ordinary files is accepted, stored or deflated, with a comment or without entries', async () => {
    const entries: ZipEntry[] = [
      { name: 'd/', content: Buffer.alloc(0), method: 0, mode: 0o040755 },
      { name: 'd/run.sh', mode: 0o100755 },
      { name: 'b', method: 0 },
    ];
    expect(await readArchive(zip(entries, { comment: Buffer.from('made by hand') }))).toMatchObject({
      ok: true,
      entries: [
        { path: 'd', kind: 'directory' },
        { path: 'd/run.sh', executable: true, bytes: Buffer.from('content') },
        { path: 'b', executable: false },
      ],
    });
    expect(await readArchive(zip([]))).toEqual({ ok: true, entries: [] });
  });

  test.each(badNames)('with the name %j is refused, whole', async (name) => {
    expect(await refusalOf(zip([{ name: 'good' }, { name }]))).toBe('path_refused');
  });

  test('with a NUL in a name, or bytes that are not UTF-8, is refused', async () => {
    expect(await refusalOf(zip([{ name: 'a\0.md' }]))).toBe('path_refused');
    expect(await refusalOf(zip([{ name: Buffer.of(0x61, 0xc0, 0xaf) }]))).toBe('path_refused');
  });

  test.each([0o120777, 0o020666, 0o060666, 0o010666, 0o140777, 0o040755])(
    'with a file of mode %o is refused',
    async (mode) => {
      expect(await refusalOf(zip([{ name: 'good' }, { name: 'entry', mode }]))).toBe('kind_refused');
    },
  );

  test.each(twins)('with %j and %j is refused', async (one, other) => {
    expect(await refusalOf(zip([{ name: one }, { name: other }]))).toBe('duplicate_path');
  });

  test.each<[string, ZipEntry['local']]>([
    ['name', { name: '../x' }],
    ['method', { method: 0 }],
    ['size', { sizeBytes: 1 }],
    ['checksum', { crc: 1 }],
    ['flags', { flags: 0 }],
  ])('whose two headers disagree about the %s is refused', async (_what, local) => {
    expect(await refusalOf(zip([{ name: 'good' }, { name: 'entry', local }]))).toBe('header_mismatch');
  });

  test('that is encrypted, or packed by another method, is refused', async () => {
    expect(await refusalOf(zip([{ name: 'a', flags: 0x801 }]))).toBe('unsupported');
    expect(await refusalOf(zip([{ name: 'a', method: 12 }]))).toBe('unsupported');
  });

  test('whose content is not what its header says is refused', async () => {
    expect(await refusalOf(zip([{ name: 'a', crc: 7 }]))).toBe('damaged');
    expect(await refusalOf(zip([{ name: 'a', sizeBytes: 6 }]))).toBe('damaged');
    expect(await refusalOf(zip([{ name: 'a', sizeBytes: 8 }]))).toBe('damaged');
    expect(await refusalOf(zip([{ name: 'a', packed: Buffer.from('no deflate') }]))).toBe('damaged');
    expect(await refusalOf(zip([{ name: 'a' }]).subarray(0, -1))).toBe('damaged');
  });

  test('that tells of fewer entries than it holds is refused', async () => {
    expect(await refusalOf(zip([{ name: 'a' }, { name: 'b' }], { count: 1 }))).toBe('header_mismatch');
  });
});

describe('class 22: a bomb', () => {
  const mebibyte = 1024 * 1024;

  test('of zeros is refused by its ratio, in either format, and just below the ratio it is not', async () => {
    const zeros = Buffer.alloc(9 * mebibyte);
    expect(await refusalOf(tarGz({ name: 'a', content: zeros }))).toBe('ratio_exceeded');
    expect(await refusalOf(zip([{ name: 'a', content: zeros }]))).toBe('ratio_exceeded');
    const one = { name: 'a', content: Buffer.alloc(200_000) };
    const size = zip([one]).length;
    expect(await refusalOf(zip([one]), { ratioFreeBytes: 0, ratioMax: 200_000 / size })).toBe('accepted');
    expect(await refusalOf(zip([one]), { ratioFreeBytes: 0, ratioMax: 199_999 / size })).toBe('ratio_exceeded');
  });

  test('of entries that share the same bytes is refused', async () => {
    const shared = Array.from({ length: 50 }, (_, n): ZipEntry => ({
      name: 'a',
      sharesOffset: n > 0,
      content: Buffer.alloc(1_000),
    }));
    expect(await refusalOf(zip(shared))).toBe('duplicate_path');
    const inner = zip([{ name: 'b', method: 0 }]).subarray(0, 30 + 1 + 7);
    const outer: ZipEntry = { name: 'a', method: 0, content: inner };
    const archive = zip([outer, { name: 'b', method: 0, sharesOffset: true }]);
    // The second entry's header is the content of the first.
    archive.writeUInt32LE(31, archive.length - 22 - (46 + 1) + 42);
    expect(await refusalOf(archive)).toBe('header_mismatch');
  });

  test('that lies about its size is stopped while it unpacks', async () => {
    const packed = deflateRawSync(Buffer.alloc(5 * mebibyte));
    expect(await refusalOf(zip([{ name: 'a', packed, sizeBytes: 10, content: Buffer.alloc(10) }]))).toBe('damaged');
  });

  test('hidden in a tar header, which is never a file, is stopped', async () => {
    const archive = gzipSync(
      Buffer.concat([tarHeader({ name: 'x', type: 'x', sizeBytes: 3 * mebibyte }), Buffer.alloc(3 * mebibyte + 1024)]),
    );
    expect(await refusalOf(archive)).toBe('ratio_exceeded');
    const claimed = gzipSync(tarHeader({ name: 'x', type: 'x', sizeBytes: 0o77777777777 }));
    expect(await refusalOf(claimed)).toBe('damaged');
  });

  test('of many entries is refused at the first too many, and a zip by what it announces', async () => {
    const entries = Array.from({ length: 11 }, (_, n) => ({ name: `f${n}` }));
    expect(await refusalOf(tarGz(...entries.slice(1)), { entriesMax: 10 })).toBe('accepted');
    expect(await refusalOf(tarGz(...entries), { entriesMax: 10 })).toBe('too_many_entries');
    expect(await refusalOf(zip(entries.slice(1)), { entriesMax: 10 })).toBe('accepted');
    expect(await refusalOf(zip(entries), { entriesMax: 10 })).toBe('too_many_entries');
    expect(await refusalOf(zip([{ name: 'a' }], { count: 65_535 }))).toBe('too_many_entries');
  });

  test('by the size of one file, of all files, or of the archive is refused at one byte above the limit', async () => {
    for (const make of [
      (content: Buffer) => tarGz({ name: 'a', content }, { name: 'b', content }),
      (content: Buffer) =>
        zip([
          { name: 'a', content },
          { name: 'b', content },
        ]),
    ]) {
      const archive = make(Buffer.alloc(1_000, 'x'));
      expect(await refusalOf(archive, { fileBytesMax: 1_000 })).toBe('accepted');
      expect(await refusalOf(archive, { fileBytesMax: 999 })).toBe('file_too_large');
      expect(await refusalOf(archive, { unpackedBytesMax: 2_000 })).toBe('accepted');
      expect(await refusalOf(archive, { unpackedBytesMax: 1_999 })).toBe('unpacked_too_large');
      expect(await refusalOf(archive, { archiveBytesMax: archive.length })).toBe('accepted');
      expect(await refusalOf(archive, { archiveBytesMax: archive.length - 1 })).toBe('archive_too_large');
    }
  });
});

test('what is neither tar.gz nor zip is refused', async () => {
  for (const bytes of ['', 'x', 'hello world', '7z\xbc\xaf\x27\x1c', 'Rar!\x1a\x07'])
    expect(await refusalOf(Buffer.from(bytes, 'latin1'))).toBe('format_unknown');
});

test('any archive with bytes turned is accepted or refused, and never more', async () => {
  const good = [
    tarGz({ name: 'a', content: 'x'.repeat(900) }, { name: 'd/b', content: 'y' }),
    zip([{ name: 'a' }, { name: 'd/b' }]),
  ];
  let tried = 0;
  for (const archive of good) {
    for (let position = 0; position < archive.length; position++) {
      const turned = Buffer.from(archive);
      turned[position] = (turned[position] ?? 0) ^ (1 << (position % 8));
      const answer = await readArchive(turned);
      expect(typeof answer.ok).toBe('boolean');
      tried++;
    }
  }
  report(`archives with one bit turned: ${tried}`);
});
