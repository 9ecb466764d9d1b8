// Script of the status page, as text: it runs in the browser, not here. One request a second, none while the tab is
// hidden, none on top of another that has not been answered.

export const statusScript = `
'use strict';
const everyMs = 1000, samplesMax = 60, samples = [];
const byId = (id) => document.getElementById(id);
const element = (name, text, className) => {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
};
const isMoment = (name) => /^atMs$|AtMs$/.test(name);
const words = (name) => name === 'atMs' ? 'when' : name.replace(/(AtMs|Ms|Bytes)$/, '').replace(/([A-Z])/g, ' $1').toLowerCase();
const count = (value) => Number.isInteger(value) ? value.toLocaleString('en') : value.toLocaleString('en', { maximumFractionDigits: 2 });
const size = (bytes) => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
  return count(Math.round(bytes * 10) / 10) + ' ' + units[unit];
};
const duration = (ms) => {
  if (ms < 1000) return count(Math.round(ms * 10) / 10) + ' ms';
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return seconds + ' s';
  if (seconds < 3600) return Math.floor(seconds / 60) + ' min ' + (seconds % 60) + ' s';
  if (seconds < 86400) return Math.floor(seconds / 3600) + ' h ' + Math.floor(seconds % 3600 / 60) + ' min';
  return Math.floor(seconds / 86400) + ' d ' + Math.floor(seconds % 86400 / 3600) + ' h';
};
const shown = (name, value, nowMs) => {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'object') return Object.entries(value).map(([key, each]) => words(key) + ' ' + shown(key, each, nowMs)).join(', ') || 'none';
  if (typeof value !== 'number') return value === '' ? '(all)' : value;
  if (isMoment(name)) return duration(Math.max(0, nowMs - value)) + ' ago';
  if (/Ms$/.test(name)) return duration(value);
  if (/Bytes$/.test(name)) return size(value);
  return count(value);
};
const isHigh = (name, value) => (name === 'oldestAgeMs' && value > 60000) || (name === 'eventLoopUtilization' && value > 0.9) || (name === 'restarts' && value > 0);

const drawTable = (title, rows, nowMs, note) => {
  const part = document.createDocumentFragment();
  const heading = element('h2', title);
  if (note) heading.append(element('span', note));
  part.append(heading);
  const frame = element('div', undefined, 'frame'), table = element('table'), head = element('tr');
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const isNumber = (column) => !isMoment(column) && typeof rows[0][column] === 'number';
  for (const column of columns) {
    const cell = element('th', words(column), isNumber(column) ? 'number' : '');
    cell.scope = 'col';
    head.append(cell);
  }
  table.append(head);
  for (const row of rows) {
    const line = element('tr');
    for (const column of columns) {
      const value = row[column];
      const kinds = [isNumber(column) ? 'number' : '', isHigh(column, value) ? 'high' : '', column === 'text' ? 'wide' : ''];
      line.append(element('td', shown(column, value, nowMs), kinds.join(' ').trim()));
    }
    table.append(line);
  }
  frame.append(table);
  part.append(frame);
  return part;
};

const rateOf = (name, first, last) => {
  const seconds = (last.atMs - first.atMs) / 1000;
  return seconds > 0 ? ((last.ledger[name] || 0) - (first.ledger[name] || 0)) / seconds : 0;
};
const drawLine = (name) => {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg'), line = document.createElementNS(space, 'polyline');
  const rates = samples.slice(1).map((sample, index) => Math.max(0, rateOf(name, samples[index], sample)));
  const top = Math.max(1, ...rates);
  const points = rates.map((rate, index) => (samplesMax - rates.length + index) + ',' + (20 - 20 * rate / top).toFixed(2));
  svg.setAttribute('viewBox', '0 0 ' + samplesMax + ' 20');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  line.setAttribute('points', points.join(' '));
  svg.append(line);
  return svg;
};
const drawTiles = (ledger) => {
  const tiles = Object.keys(ledger).map((name) => {
    const tile = element('div', undefined, 'tile');
    tile.append(element('p', words(name), 'name'), element('p', count(ledger[name]), 'value'));
    if (!name.startsWith('pending')) {
      const recent = samples.slice(-4);
      const rate = rateOf(name, recent[0], recent[recent.length - 1]);
      tile.append(element('p', rate > 0 ? count(Math.round(rate * 10) / 10) + ' per second' : '', 'rate'), drawLine(name));
    }
    return tile;
  });
  byId('tiles').replaceChildren(...tiles);
};

const draw = (status) => {
  const { program = {}, ledger = {}, reasons = [], alarms = [] } = status;
  const nowMs = program.nowMs || Date.now();
  samples.push({ atMs: nowMs, ledger });
  if (samples.length > samplesMax) samples.shift();
  setState(status.ready ? 'ready' : 'waiting', status.ready ? 'ready' : 'not ready');
  byId('about').textContent = ['version ' + program.version, 'Node ' + program.nodeVersion, 'up ' + duration(nowMs - program.startedAtMs)].join(' · ');
  const told = [...reasons.map(({ probe, reason }) => probe + ': ' + reason), ...alarms.map(({ name, text }) => name + ': ' + text)];
  byId('reasons').hidden = told.length === 0;
  byId('reasons').replaceChildren(...told.map((text) => element('p', text)));
  drawTiles(ledger);
  // Somebody is copying a key or a message: it must not vanish under the pointer.
  if (!document.getSelection().isCollapsed) return;
  const parts = [];
  const errors = status.workspace && status.workspace.lastError ? [{ where: 'workspace file', ...status.workspace.lastError }] : [];
  const lists = { ...status, lastErrors: [...errors, ...(status.lastErrors || [])] };
  for (const name of ['lastErrors', 'destinations', 'parked', 'saturating', 'queues', 'threads', 'partitions', 'ledgerRows']) {
    const rows = lists[name];
    if (!Array.isArray(rows) || rows.length === 0) continue;
    const total = status[name + 'Total'];
    parts.push(drawTable(words(name).replace(/^./, (letter) => letter.toUpperCase()), rows, nowMs, total > rows.length ? rows.length + ' of ' + count(total) : ''));
  }
  for (const name of ['intake', 'commits', 'actors', 'postgres', 'workspace']) {
    if (!status[name]) continue;
    const { lastError, ...row } = status[name];
    parts.push(drawTable(words(name).replace(/^./, (letter) => letter.toUpperCase()), [row], nowMs));
  }
  byId('tables').replaceChildren(...parts);
};

const setState = (kind, text) => {
  const state = byId('state');
  // Set only when it changed: screen readers announce every write.
  if (state.textContent !== text) state.textContent = text;
  state.className = 'state ' + kind;
  document.body.className = kind === 'lost' ? 'stale' : '';
  document.title = kind === 'ready' ? 'Sluice' : 'Sluice: ' + text;
};
const refresh = async () => {
  if (!document.hidden) {
    try {
      const answer = await fetch('/status', { signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error('status ' + answer.status);
      draw(await answer.json());
    } catch (error) {
      setState('lost', 'no answer');
    }
  }
  setTimeout(refresh, everyMs);
};
refresh();
`;
