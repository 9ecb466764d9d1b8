// Events of robots: those that came marked (internal requests say what they found, spec/ingest.md 1.9), and, where it is
// wanted, those whose user agent tells. They are marked for their destinations, or dropped.

import { type EventObject, isObject } from '../destinations/destination.ts';
import { loadIsbot } from './heavy-libraries.ts';
import { RecentAnswers } from './recent-answers.ts';
import type { Ending, EventInHand, Stage } from './stage.ts';

export type BotAction = 'off' | 'flag' | 'drop';

interface Bot {
  name: string;
  url: string;
  isInvalidBrowser: boolean;
}

const dropped: Ending = { kind: 'filtered', code: 298, reason: 'sent by a bot', stage: 'bot_management' };
/** Longer ones tell nothing more, and the list's patterns need not look at them. */
const agentCharactersMax = 1_024;

/** `detect`: what is done about bots that nobody has marked. */
export function botStage(detect: BotAction): Stage {
  const agents = detect === 'off' ? undefined : new RecentAnswers(botFinder());
  return (inHand) => {
    const { parameters } = inHand;
    if (parameters.is_bot === true) return act(inHand, parameters.bot_action ?? '', markedBot(inHand));
    const agent = agents === undefined ? '' : agentOf(inHand.event);
    const bot = agent === '' ? undefined : agents?.of(agent);
    return bot === undefined ? undefined : act(inHand, detect, bot);
  };
}

function act(inHand: EventInHand, action: string, bot: Bot): Ending | undefined {
  if (action === 'drop') return dropped;
  if (action !== 'flag') return undefined;
  const context = inHand.contextToChange();
  context.isBot = true;
  context.bot = bot;
  return undefined;
}

function markedBot({ parameters }: EventInHand): Bot {
  return {
    name: parameters.bot_name ?? '',
    url: parameters.bot_url ?? '',
    isInvalidBrowser: parameters.bot_is_invalid_browser === true,
  };
}

export function agentOf(event: EventObject): string {
  const agent = isObject(event.context) ? event.context.userAgent : undefined;
  return typeof agent === 'string' ? agent.slice(0, agentCharactersMax) : '';
}

function botFinder(): (agent: string) => Bot | undefined {
  const { isbot, isbotMatch } = loadIsbot();
  return (agent) => {
    if (!isbot(agent)) return undefined;
    const url = /https?:\/\/[^\s;)]+/.exec(agent)?.[0] ?? '';
    return { name: isbotMatch(agent) ?? '', url, isInvalidBrowser: false };
  };
}
