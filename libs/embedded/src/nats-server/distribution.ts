import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exec } from './exec.js';
import type { Fetched, Search } from './find-nats-server.js';
import { checkBinary } from './version.js';

const updateLimitMs = 120_000;
const downloadLimitMs = 60_000;

// Newer suites than the machine's own, since stable ones lag; the package needs only libc, so it runs on older systems.
const suites: Readonly<Record<string, { names: readonly string[]; components: string }>> = {
  debian: { names: ['sid', 'trixie'], components: 'main' },
  ubuntu: { names: ['devel', 'noble'], components: 'main universe' },
};

/** Where the machine gets its own packages from. */
export interface Mirror {
  readonly uri: string;
  readonly signedBy: string | undefined;
}

/** The distribution's package, without root and without touching the system: apt works on private folders only. */
export async function fromDistribution(search: Search, workDir: string): Promise<Fetched> {
  const etc = search.etcDir;
  const distribution = distributionOf(etc);
  const wanted = suites[distribution.id];
  if (wanted === undefined) return { reason: `no package is known for ${distribution.id || 'this system'}` };
  const mirror = mirrorFrom(readSources(join(etc, 'apt')), distribution.codename);
  if (mirror === undefined) return { reason: 'no package mirror is configured' };

  const reasons: string[] = [];
  for (const suite of wanted.names) {
    search.progress(`trying the distribution's package from ${suite}`);
    const fetched = await fromSuite(search, join(workDir, suite), mirror, suite, wanted.components);
    if ('file' in fetched) {
      const checked = await checkBinary(fetched.file, search.env);
      if (checked.usable) return fetched;
      reasons.push(`${suite}: ${checked.reason}`);
    } else reasons.push(`${suite}: ${fetched.reason}`);
  }
  return { reason: reasons.join('; ') };
}

async function fromSuite(
  search: Search,
  dir: string,
  mirror: Mirror,
  suite: string,
  components: string,
): Promise<Fetched> {
  for (const folder of ['lists/partial', 'archives/partial', 'root']) mkdirSync(join(dir, folder), { recursive: true });
  const signedBy = mirror.signedBy === undefined ? '' : `[signed-by=${mirror.signedBy}] `;
  writeFileSync(join(dir, 'sources.list'), `deb ${signedBy}${mirror.uri} ${suite} ${components}\n`);
  writeFileSync(join(dir, 'apt.conf'), privateConfiguration(dir));
  const apt = ['-c', join(dir, 'apt.conf'), '-qq'];
  const env = { ...search.env, LC_ALL: 'C' };

  const updated = await exec('apt-get', [...apt, 'update'], { env, limitMs: updateLimitMs, cwd: dir });
  if (!updated.ok) return { reason: updated.reason };
  const got = await exec('apt-get', [...apt, 'download', 'nats-server'], { env, limitMs: downloadLimitMs, cwd: dir });
  if (!got.ok) return { reason: got.reason };
  const archive = readdirSync(dir).find((name) => name.endsWith('.deb'));
  if (archive === undefined) return { reason: 'apt-get downloaded no package' };
  const unpacked = await exec('dpkg', ['-x', join(dir, archive), join(dir, 'root')], { env, limitMs: 30_000 });
  if (!unpacked.ok) return { reason: unpacked.reason };
  const file = ['usr/bin', 'usr/sbin']
    .map((bin) => join(dir, 'root', bin, 'nats-server'))
    .find((path) => existsSync(path));
  return file === undefined ? { reason: 'the package holds no nats-server' } : { file };
}

/** Read after the machine's configuration, so that its proxies hold and its hooks do not. */
function privateConfiguration(dir: string): string {
  return `
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
Dir::Etc::SourceList "${dir}/sources.list";
Dir::Etc::SourceParts "-";
Dir::Etc::Preferences "-";
Dir::Etc::PreferencesParts "-";
Dir::State::Lists "${dir}/lists";
Dir::State::Status "/dev/null";
Dir::Cache "${dir}";
Dir::Cache::Archives "${dir}/archives";
Dir::Log "${dir}";
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
`;
}

function distributionOf(etc: string): { id: string; codename: string } {
  try {
    const text = readFileSync(join(etc, 'os-release'), 'utf8');
    const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
    return { id: field('ID'), codename: field('VERSION_CODENAME') };
  } catch {
    return { id: '', codename: '' };
  }
}

function readSources(apt: string): readonly { name: string; text: string }[] {
  const parts = join(apt, 'sources.list.d');
  const inParts = existsSync(parts)
    ? readdirSync(parts)
        .sort()
        .map((name) => join(parts, name))
    : [];
  return [join(apt, 'sources.list'), ...inParts]
    .filter((file) => /\.(list|sources)$/.test(file) && existsSync(file))
    .map((file) => ({ name: file, text: readFileSync(file, 'utf8') }));
}

/** The mirror of the distribution itself, told from third parties by its suite. Reads both of apt's formats. */
export function mirrorFrom(files: readonly { name: string; text: string }[], codename: string): Mirror | undefined {
  const entries = files.flatMap(({ name, text }) => (name.endsWith('.sources') ? stanzas(text) : lines(text)));
  const ownSuites = [codename, 'stable', 'testing', 'unstable', 'sid'].filter((suite) => suite !== '');
  const own = entries.find((entry) => entry.suites.some((suite) => ownSuites.includes(suite)));
  return own === undefined ? undefined : { uri: own.uri, signedBy: own.signedBy };
}

interface Entry extends Mirror {
  readonly suites: readonly string[];
}

function stanzas(text: string): Entry[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'mi').exec(stanza)?.[1]?.trim();
    const uri = field('URIs')?.split(/\s+/)[0];
    const enabled = field('Enabled')?.toLowerCase() !== 'no';
    const binary = field('Types')?.split(/\s+/).includes('deb') ?? false;
    if (uri === undefined || !enabled || !binary) return [];
    const signedBy = field('Signed-By');
    // A key may also stand in the file itself; only a path can be named in the one-line format.
    return [
      { uri, suites: field('Suites')?.split(/\s+/) ?? [], signedBy: signedBy?.startsWith('/') ? signedBy : undefined },
    ];
  });
}

function lines(text: string): Entry[] {
  return text.split('\n').flatMap((line) => {
    const entry = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line);
    if (entry === null) return [];
    const signedBy = /signed-by=(\/\S+)/i.exec(entry[1] ?? '')?.[1];
    return [{ uri: entry[2] as string, suites: [entry[3] as string], signedBy }];
  });
}
