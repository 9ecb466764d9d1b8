// Settings of what leaves: which networks an address chosen by a customer may lead to.

import { list, text } from '../../runtime/index.ts';
import { egressRuleProblem } from '../../transport/index.ts';

export const egressSettings = {
  allow: list({
    default: [],
    of: 'addresses, networks like 10.0.0.0/8, host names or "private"',
    isGood: (entry) => egressRuleProblem(entry) === undefined,
    doc: 'Networks and hosts deliveries may reach besides the public internet; `.example.internal` for all names below, `private` for every network. The starter workspace may always reach this machine',
  }),
  proxy: text({
    default: '',
    doc: 'HTTP proxy that deliveries leave through (http://user:password@host:3128). It resolves host names itself, so which networks they may lead to is its business; addresses in URLs are still judged here. Empty: none',
  }),
};
