// Every destination type that is delivered by a sender of its own. Their names stand in destinations/senders.ts as well.

import { awsTypes } from './aws.ts';
import { kafkaType } from './kafka.ts';
import { pubsubType } from './pubsub.ts';
import { redisType } from './redis.ts';
import type { CustomType } from './sender.ts';

export const customTypes: ReadonlyMap<string, CustomType> = new Map(
  [redisType, kafkaType, ...awsTypes, pubsubType].map((type) => [type.name, type]),
);
