// Answers of vendors that mean something else than their status says, by destination type: throttling told as 400 or
// 403, tokens that have run out, refusals inside a 200. Types that are not here go by the status alone.

import type { ResponseRule } from './response-rules.ts';

const expiredToken: ResponseRule = { status: [401], outcome: 'refreshAuth', reason: 'the token is not taken any more' };

const facebook: readonly ResponseRule[] = [
  {
    body: { path: 'error.code', equals: [4, 17, 32, 341, 368, 613, 80000, 80002, 80003, 80004] },
    outcome: 'throttle',
    reason: 'too many calls',
  },
  {
    body: { path: 'error.code', equals: [102, 190, 463, 467] },
    outcome: 'refreshAuth',
    reason: 'the token has run out',
  },
  { body: { path: 'error.is_transient', equals: [true] }, outcome: 'retry' },
  { body: { path: 'error.code', equals: [1, 2] }, outcome: 'retry' },
];

const google: readonly ResponseRule[] = [
  { status: [403], body: { contains: 'rateLimitExceeded' }, outcome: 'throttle', reason: 'too many calls' },
  { status: [403], body: { contains: 'quotaExceeded' }, outcome: 'throttle', reason: 'the quota is used up' },
  {
    status: [400, 403, 429],
    body: { contains: 'RESOURCE_EXHAUSTED' },
    outcome: 'throttle',
    reason: 'the quota is used up',
  },
  expiredToken,
];

const salesforce: readonly ResponseRule[] = [
  { status: [401], body: { path: '0.errorCode', equals: ['INVALID_SESSION_ID'] }, outcome: 'refreshAuth' },
  { status: [403], body: { path: '0.errorCode', equals: ['REQUEST_LIMIT_EXCEEDED'] }, outcome: 'throttle' },
  { status: [400], body: { path: '0.errorCode', equals: ['UNABLE_TO_LOCK_ROW'] }, outcome: 'retry' },
  { status: [503], body: { contains: 'server unavailable' }, outcome: 'retry' },
];

export const responseRuleTables: Readonly<Record<string, readonly ResponseRule[]>> = {
  FACEBOOK_PIXEL: facebook,
  FACEBOOK_CONVERSIONS: facebook,
  FB_CUSTOM_AUDIENCE: facebook,
  FACEBOOK_OFFLINE_CONVERSIONS: facebook,
  GOOGLE_ADWORDS_ENHANCED_CONVERSIONS: google,
  GOOGLE_ADWORDS_OFFLINE_CONVERSIONS: google,
  GOOGLE_ADWORDS_REMARKETING_LISTS: google,
  CAMPAIGN_MANAGER: google,
  GOOGLESHEETS: google,
  SALESFORCE: salesforce,
  SALESFORCE_OAUTH: salesforce,
  HS: [
    {
      status: [429],
      body: { path: 'policyName', equals: ['DAILY'] },
      outcome: 'throttle',
      reason: 'the daily quota is used up',
    },
    { status: [477], outcome: 'retry', reason: 'the account is being moved' },
    expiredToken,
  ],
  MP: [
    // The older endpoints answer 200 with 0 for what they refuse.
    { status: [200], body: { path: 'status', equals: [0] }, outcome: 'abort', reason: 'refused inside a success' },
  ],
  SLACK: [{ status: [200], body: { contains: 'rate_limited' }, outcome: 'throttle' }],
  SNAPCHAT_CUSTOM_AUDIENCE: [expiredToken],
  TIKTOK_AUDIENCE: [
    { body: { path: 'code', equals: [40100] }, outcome: 'throttle' },
    { body: { path: 'code', equals: [40105] }, outcome: 'refreshAuth' },
    { body: { path: 'code', equals: [50000, 50002] }, outcome: 'retry' },
  ],
  TIKTOK_ADS: [
    { body: { path: 'code', equals: [40100] }, outcome: 'throttle' },
    { body: { path: 'code', equals: [50000, 50002] }, outcome: 'retry' },
    { status: [200], body: { path: 'code', equals: [40001, 40002, 40104, 40105] }, outcome: 'abort' },
  ],
};
