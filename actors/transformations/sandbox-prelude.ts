// Our own code inside a sandbox: it calls the customer's functions and judges what they return
// (spec/transformer-and-clients.md section 2), so that an event costs one call into the sandbox and one text out of it.
// It takes hold of the built-ins it needs before the customer's code can change them.
//
// An answer is a letter and a text: F nothing (filtered); O one event; J many, as [[item, event or null, reason]…];
// E the failure of one event; B the failure of a whole batch. Those of several events are joined by a character that no
// answer holds.

/** A function expression: (host functions) → the entry points the engine calls. */
export const preludeSource = `(function (hostLog, hostFetch, credentialsText, outputMax) {
  'use strict';
  const { parse, stringify } = JSON;
  const { isArray } = Array;
  const { create, preventExtensions } = Object;
  const { apply } = Reflect;
  const joinAll = [].join;
  const between = ['\\u001e'];
  const ErrorType = Error;
  const toText = String;
  const credentials = parse(credentialsText);
  const notObject = 'returned event from transformEvent(event) is not an object';

  const show = (value) => {
    if (typeof value === 'string') return value;
    try { return stringify(value) ?? toText(value); } catch { return toText(value); }
  };
  const describe = (error) => {
    let text;
    try {
      text = error instanceof ErrorType ? error.name + ': ' + error.message : 'thrown: ' + show(error);
      const stack = error instanceof ErrorType ? toText(error.stack) : '';
      let kept = '';
      let start = 0;
      for (let lines = 0; lines < 10 && start < stack.length; lines += 1) {
        let end = start;
        while (end < stack.length && stack[end] !== '\\n') end += 1;
        let line = '';
        for (let at = start; at < end; at += 1) line += stack[at];
        let isOurs = false;
        for (let at = 0; at + 9 <= line.length; at += 1) {
          if (line[at] === '(' && line[at + 1] === '<' && line[at + 2] === 'p' && line[at + 3] === 'r') isOurs = true;
        }
        if (line !== '' && !isOurs) kept += '\\n' + line;
        start = end + 1;
      }
      text += kept;
    } catch { text = 'thrown: a value that cannot be shown'; }
    let short = '';
    for (let at = 0; at < text.length && at < 2000; at += 1) short += text[at] === between[0] ? ' ' : text[at];
    return short;
  };
  const encode = (value) => {
    const text = stringify(value);
    if (typeof text !== 'string') throw new ErrorType('expected an object that can be written as JSON');
    return text;
  };
  const limited = (text) => {
    if (text.length > outputMax) {
      throw new ErrorType('expected at most ' + outputMax + ' characters of output, got ' + text.length);
    }
    return text;
  };
  const isEvent = (value) => typeof value === 'object' && value !== null && !isArray(value);

  globalThis.global = globalThis;
  globalThis.log = (...values) => {
    let text = '';
    for (let at = 0; at < values.length; at += 1) text += (at === 0 ? '' : ' ') + show(values[at]);
    hostLog(text);
  };
  globalThis.getCredential = (key) => {
    if (key === null || key === undefined) throw new TypeError('expected a key in getCredential(key)');
    return Object.hasOwn(credentials, toText(key)) ? credentials[toText(key)] : undefined;
  };
  globalThis.fetchV2 = async (url, options) => {
    const response = parse(await hostFetch(toText(url), stringify(options ?? {})));
    if (response.error !== undefined) throw new ErrorType(response.error);
    try { response.body = parse(response.body); } catch {}
    return response;
  };
  const fetchAny = globalThis.fetchV2;
  globalThis.fetch = async (url, options) => {
    try {
      const { body } = await fetchAny(url, options);
      return typeof body === 'string' ? 'ERROR' : body;
    } catch { return 'ERROR'; }
  };
  globalThis.geolocation = async () => { throw new ErrorType('geolocation is not available'); };

  let run;
  const settleEvent = (value) => {
    if (value === null || value === undefined) return 'F';
    if (!isArray(value)) return isEvent(value) ? 'O' + limited(encode(value)) : 'E' + notObject;
    const rows = [];
    for (let at = 0; at < value.length; at += 1) {
      if (!isEvent(value[at])) return 'E' + notObject;
      rows[at] = [0, encode(value[at])];
    }
    return rows.length === 0 ? 'F' : 'J' + limited(encode(rows));
  };
  const waitForEvent = async (promise) => {
    try { return settleEvent(await promise); } catch (error) { return 'E' + describe(error); }
  };
  const runEvent = (eventText, metadataText) => {
    try {
      const event = parse(eventText);
      const id = event.messageId;
      let known;
      const metadata = (of) => (isEvent(of) && of.messageId === id ? (known ??= parse(metadataText)) : {});
      const value = run(event, metadata);
      return isEvent(value) && typeof value.then === 'function' ? waitForEvent(value) : settleEvent(value);
    } catch (error) { return 'E' + describe(error); }
  };
  let answers = [];
  const takeAnswers = () => {
    const text = apply(joinAll, answers, between);
    answers = [];
    return text;
  };
  // Ends at the first event that waits: those before it are in the answers, those behind it are not begun.
  const runEvents = (eventsText, metadatasText) => {
    const events = parse(eventsText);
    let metadatas;
    answers = [];
    for (let at = 0; at < events.length; at += 1) {
      const event = events[at];
      const id = event.messageId;
      const metadata = (of) => (isEvent(of) && of.messageId === id ? (metadatas ??= parse(metadatasText))[at] : {});
      let answer;
      try {
        const value = run(event, metadata);
        if (isEvent(value) && typeof value.then === 'function') return waitForEvent(value);
        answer = settleEvent(value);
      } catch (error) { answer = 'E' + describe(error); }
      answers[at] = answer;
    }
    return takeAnswers();
  };
  const settleBatch = (value, indexes) => {
    if (!isArray(value)) return 'Breturned events from transformBatch(events) are not an array';
    const rows = [];
    for (let at = 0; at < value.length; at += 1) {
      const event = value[at];
      if (isEvent(event)) rows[at] = [indexes[toText(event.messageId)] ?? 0, encode(event)];
      else rows[at] = [0, null, 'returned event in events from transformBatch(events) is not an object'];
    }
    return 'J' + limited(encode(rows));
  };
  const waitForBatch = async (promise, indexes) => {
    try { return settleBatch(await promise, indexes); } catch (error) { return 'B' + describe(error); }
  };
  const runBatch = (eventsText, metadatasText) => {
    try {
      const events = parse(eventsText);
      const metadatas = parse(metadatasText);
      const indexes = create(null);
      for (let at = 0; at < events.length; at += 1) indexes[toText(events[at].messageId)] ??= at;
      const metadata = (of) => (isEvent(of) ? (metadatas[indexes[toText(of.messageId)]] ?? {}) : {});
      const value = run(events, metadata);
      return isEvent(value) && typeof value.then === 'function'
        ? waitForBatch(value, indexes)
        : settleBatch(value, indexes);
    } catch (error) { return 'B' + describe(error); }
  };
  const load = (exports) => {
    const { transformEvent, transformBatch } = exports;
    const hasEvent = typeof transformEvent === 'function';
    if (hasEvent === (typeof transformBatch === 'function')) return '';
    run = hasEvent ? transformEvent : transformBatch;
    // What the code did to the built-ins while it loaded holds for all its events; an event must not add to it.
    for (const type of [Object, Array, String, Number, Boolean, Function, Promise]) preventExtensions(type.prototype);
    return hasEvent ? 'event' : 'batch';
  };
  return { load, runEvent, runEvents, takeAnswers, runBatch, describe };
})`;
