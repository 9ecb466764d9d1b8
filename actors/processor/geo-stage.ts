// Adds where an event came from by its client's address (spec/ingest.md 4.2): `context.geo`, empty where the file knows
// nothing, left alone where the client has said it. The file is MaxMind's format; who owns it puts a path into settings.

import type { CityResponse, Reader } from 'maxmind';
import { isObject } from '../destinations/destination.ts';
import type { SourceConfig } from '../services/workspace.ts';
import { RecentAnswers } from './recent-answers.ts';
import type { EventInHand, Stage, StageFactory } from './stage.ts';

export type GeoReader = Pick<Reader<CityResponse>, 'get'>;

interface Place {
  ip: string;
  city: string;
  country: string;
  region: string;
  postal: string;
  location: string;
  timezone: string;
}

/** `everywhere`: also for sources that do not ask for it. */
export function geoStage(reader: GeoReader, everywhere: boolean): StageFactory {
  const places = new RecentAnswers<string, Place>((ip) => placeOf(reader, ip));
  const stage: Stage = (inHand) => {
    const { context } = inHand.event;
    if (isObject(context) && context.geo !== undefined) return undefined;
    const ip = addressOf(inHand);
    if (ip !== '') inHand.contextToChange().geo = places.of(ip);
    return undefined;
  };
  return (source: SourceConfig) => (everywhere || source.geoEnrichment === true ? stage : undefined);
}

function addressOf({ event, parameters }: EventInHand): string {
  const own = isObject(event.context) ? event.context.ip : undefined;
  if (typeof own === 'string' && own !== '') return own;
  const { request_ip: ofRequest } = event;
  return parameters.request_ip ?? (typeof ofRequest === 'string' ? ofRequest : '');
}

function placeOf(reader: GeoReader, ip: string): Place {
  const found = lookUp(reader, ip);
  const { latitude, longitude, time_zone: timezone } = found?.location ?? {};
  return {
    ip,
    city: found?.city?.names?.en ?? '',
    country: found?.country?.iso_code ?? '',
    region: found?.subdivisions?.[0]?.names?.en ?? '',
    postal: found?.postal?.code ?? '',
    location: latitude === undefined || longitude === undefined ? '' : `${latitude},${longitude}`,
    timezone: timezone ?? '',
  };
}

/** What is no address, or makes the file fail, is an address nobody knows. */
function lookUp(reader: GeoReader, ip: string): CityResponse | null {
  try {
    return reader.get(ip);
  } catch {
    return null;
  }
}
