// Reads the user agent into `context.os`, `context.device` and `context.browser`, as far as the client has not filled them.

import { isObject } from '../destinations/destination.ts';
import { agentOf } from './bot-stage.ts';
import { loadBowser } from './heavy-libraries.ts';
import { RecentAnswers } from './recent-answers.ts';
import type { Stage } from './stage.ts';

type Fields = Record<string, string>;

export function agentStage(): Stage {
  const bowser = loadBowser();
  const agents = new RecentAnswers<string, Record<'os' | 'device' | 'browser', Fields>>((agent) => {
    const { browser, os, platform } = bowser.parse(agent);
    return {
      os: named({ name: os.name, version: os.version }),
      device: named({ type: platform.type, manufacturer: platform.vendor, model: platform.model }),
      browser: named({ name: browser.name, version: browser.version }),
    };
  });
  return (inHand) => {
    const agent = agentOf(inHand.event);
    if (agent === '') return undefined;
    for (const [name, fields] of Object.entries(agents.of(agent))) {
      const present = isObject(inHand.event.context) ? inHand.event.context[name] : undefined;
      const isFree = present === undefined || present === null;
      if (isFree && Object.keys(fields).length > 0) inHand.contextToChange()[name] = fields;
    }
    return undefined;
  };
}

function named(fields: Record<string, string | undefined>): Fields {
  const known = Object.entries(fields).filter((entry): entry is [string, string] => (entry[1] ?? '') !== '');
  return Object.fromEntries(known);
}
