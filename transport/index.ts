// Public surface of the layer that moves bytes: everything runtime/ and actors/ may use of it.

export * from './codec.ts';
export * from './control.ts';
export * from './egress-guard.ts';
export * from './embedded-lookup.ts';
export * from './embedded-postgres.ts';
export * from './errors.ts';
export * from './event-loop.ts';
export { linkDefaults } from './framed-link.ts';
export * from './http-client.ts';
export * from './http-server.ts';
export * from './kafka.ts';
export * from './key-value-store.ts';
export * from './link.ts';
export * from './memory-link.ts';
export * from './port-link.ts';
export * from './postgres.ts';
export * from './postgres-check.ts';
export * from './redis.ts';
export * from './redis-commands.ts';
export * from './thread-cpu.ts';
export * from './worker-entry.ts';
