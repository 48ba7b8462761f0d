import { BUDGET_SCRIPT } from './budget.js';

/** Plain browser JavaScript: what a server says is only ever set as text. */
export const CONSOLE_SCRIPT = String.raw`
const at = (id) => document.getElementById(id);
const history = [];
let tenant = null, activity = null;

const trouble = (text) => { at('trouble').textContent = text; at('trouble').hidden = !text; };
async function api(path, options = {}) {
  const response = await fetch(path, { ...options, headers: options.body ? { 'content-type': 'application/json' } : {} });
  if (response.status === 204) return null;
  const body = await response.json();
  if (!response.ok) {
    const [wrong] = body.errors ?? [];
    const text = wrong ? wrong.field + ': ' + wrong.message : body.detail ?? body.error?.message ?? response.statusText;
    throw Object.assign(new Error(text), { status: response.status });
  }
  return body;
}
const pathOf = (path) => '/api/tenants/' + tenant + '/' + path;
function row(cells) {
  const line = document.createElement('tr');
  for (const cell of cells) {
    const data = document.createElement('td');
    data.append(cell); // Text stays text.
    line.append(data);
  }
  return line;
}
function show(known) {
  at('enter').hidden = known; at('home').hidden = !known; at('leave').hidden = !known;
}
${BUDGET_SCRIPT}
function showActivity({ turns, queued, recent }) {
  at('queued').textContent = queued + ' waiting';
  at('turns').replaceChildren(...[...turns, ...recent].map((turn) => row([turn.agent, turn.user ?? '', turn.stage, turn.spentUsd])));
}
async function open() {
  try {
    const me = await api('/api/me');
    const [membership] = me.tenants;
    tenant = membership?.tenant ?? null;
    if (!tenant) throw new Error('this account has no tenant');
    show(true);
    const { items } = await api(pathOf('agents?limit=200'));
    at('agent').replaceChildren(...items.filter((agent) => !agent.archived).map((agent) => new Option(agent.name, agent.agent)));
    await Promise.all([showBudget(), showOwnLimits(membership.role === 'owner' || membership.role === 'admin')]);
    activity?.close();
    activity = new EventSource(pathOf('activity'));
    activity.addEventListener('activity', ({ data }) => { showActivity(JSON.parse(data)); void showBudget().catch(() => {}); });
  } catch (error) {
    show(false);
    trouble(error.status === 401 ? '' : error.message);
  }
}
function said(role, text) {
  const line = Object.assign(document.createElement('p'), { className: role, textContent: text });
  at('said').append(line); line.scrollIntoView({ block: 'end' });
  return line;
}
async function answer(line) {
  const response = await fetch('/v1/chat/completions', { method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'openclaw/' + at('agent').value, stream: true, messages: history }) });
  if (!response.ok) throw new Error((await response.json()).error.message);
  let rest = '';
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + part).split('\n\n');
    rest = events.pop();
    for (const event of events) {
      if (!event.startsWith('data: ') || event === 'data: [DONE]') continue;
      const { error, choices } = JSON.parse(event.slice(6));
      if (error) throw new Error(error.message);
      line.textContent += choices[0]?.delta.content ?? '';
    }
  }
}
at('enter').addEventListener('submit', async (event) => {
  event.preventDefault(); trouble('');
  try {
    await api('/api/login', { method: 'POST', body: JSON.stringify(Object.fromEntries(new FormData(event.target))) });
    event.target.reset();
    await open();
  } catch (error) { trouble(error.message); }
});
at('leave').addEventListener('click', async () => {
  activity?.close(); await api('/api/logout', { method: 'POST' }).catch(() => {}); location.reload();
});
at('say').addEventListener('submit', async (event) => {
  event.preventDefault(); trouble('');
  const text = new FormData(event.target).get('text');
  event.target.reset();
  history.push({ role: 'user', content: text }); said('user', text);
  const line = said('assistant', '');
  try { await answer(line); history.push({ role: 'assistant', content: line.textContent }); }
  catch (error) { history.pop(); trouble(error.message); }
});
await open();`;
