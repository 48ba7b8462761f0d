/** The budget panel: how it stands, for everybody; the tenant's own limits, for those who may set them. */
export const BUDGET_BODY = `
<h2 id="money">Budget</h2>
<p id="plan"></p>
<label>Pressure<meter id="pressure" min="0" max="1" low="0.7" high="0.9" optimum="0"></meter><span id="step"></span></label>
<table><thead><tr><th>Limit</th><th>Set by</th><th>Cap</th><th>Spent</th><th>Held</th><th>Left</th></tr></thead><tbody id="limits"></tbody></table>
<ul id="extras"></ul>
<details id="narrow" hidden><summary>Own limits</summary>
<p>They narrow the plan’s. What is spent stays spent.</p>
<table><tbody id="own"></tbody></table>
<form id="limit">
<label>Whose<select name="scope"><option>tenant</option><option>agent</option><option>user</option><option>key</option></select></label>
<label>Name, or * for each<input name="scopeId" size="10" maxlength="256"></label>
<label>Every<select name="window"><option>hour</option><option>day</option><option>week</option><option selected>month</option><option>total</option></select></label>
<label>At most<input name="cap" inputmode="decimal" pattern="[0-9]+([.][0-9]{1,12})?" size="8" required></label>
<label>Of<select name="unit"><option value="usd">USD</option><option>tokens</option><option>messages</option><option>requests</option></select></label>
<label>Beyond it<select name="hard"><option value="hard">refuse</option><option value="soft">only tell</option></select></label>
<button>Add</button></form></details>`;

export const BUDGET_SCRIPT = String.raw`
const STEPS = { free: 'free', paced: 'paced: calls are spread over time', background_waits: 'scheduled work waits, answers are shorter',
  interactive_only: 'conversations only, one at a time', refused: 'used up: calls are refused' };
const RATES = { requestsPerMinute: 'calls a minute', tokensPerMinute: 'tokens a minute', concurrentTurns: 'turns at once' };
const unitOf = (unit) => unit === 'usd' ? 'USD' : unit;
// Whole numbers in groups; of a dollar a millionth is the least that is shown.
const shown = (unit, amount) => unit === 'usd' ? amount.replace(/(\.\d{6})\d+$/, '$1') : BigInt(amount).toLocaleString();
const nameOf = ({ unit, window, scope, scopeId }) => unitOf(unit) + (window === 'total' ? ' in total' : ' a ' + window)
  + (scope === 'tenant' ? '' : ', ' + (scopeId === '*' ? 'each ' + scope : scope + ' ' + scopeId));
let own = [];

async function showBudget() {
  const { plan, timeZone, limits, topUps, rates, pressure } = await api(pathOf('budget'));
  at('plan').textContent = plan.name + ' plan, by the clock of ' + timeZone;
  at('pressure').value = Math.min(1, pressure.utilisation);
  at('step').textContent = Math.round(pressure.utilisation * 100) + ' %, ' + STEPS[pressure.step];
  at('limits').replaceChildren(...limits.map((limit) => row([nameOf(limit) + (limit.hard ? '' : ', soft'), limit.setBy === 'tenant' ? 'own' : 'plan',
    ...['cap', 'posted', 'held', 'left'].map((field) => shown(limit.unit, limit[field]))])));
  at('extras').replaceChildren(
    ...topUps.map(({ unit, granted, left }) => item('Topped up: ' + shown(unit, left) + ' of ' + shown(unit, granted) + ' ' + unitOf(unit) + ' left')),
    ...rates.map(({ rate, cap, left }) => item(left.toLocaleString() + ' of ' + cap.toLocaleString() + ' ' + RATES[rate] + ' left')));
}
function item(text) { return Object.assign(document.createElement('li'), { textContent: text }); }

async function showOwnLimits(mayNarrow) {
  at('narrow').hidden = !mayNarrow;
  if (!mayNarrow) return;
  ({ limits: own } = await api(pathOf('limits')));
  at('own').replaceChildren(...own.map((limit) => {
    const remove = Object.assign(document.createElement('button'), { textContent: 'Remove', type: 'button' });
    remove.addEventListener('click', () => setOwnLimits(own.filter((other) => other !== limit)));
    return row([shown(limit.unit, limit.cap) + ' ' + nameOf(limit) + (limit.hard ? '' : ', soft'), remove]);
  }));
}
async function setOwnLimits(limits) {
  trouble('');
  try {
    await api(pathOf('limits'), { method: 'PUT', body: JSON.stringify({ limits }) });
    await Promise.all([showOwnLimits(true), showBudget()]);
    return true;
  } catch (error) { trouble(error.message); return false; }
}
at('limit').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  const { scope, scopeId, hard, ...rest } = Object.fromEntries(new FormData(form));
  const limit = { ...rest, scope, scopeId: scope === 'tenant' ? null : scopeId || '*', hard: hard === 'hard' };
  const same = (other) => nameOf(other) === nameOf(limit);
  if (await setOwnLimits([...own.filter((other) => !same(other)), limit])) form.reset();
});`;
