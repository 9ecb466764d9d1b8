// The events of shops under Google Analytics' names (developers.google.com/analytics, "Measure ecommerce"): the names of
// the field's e-commerce specification on the left, GA4's recommended events and parameters on the right.

import { type EventObject, isObject } from './destination.ts';
import { numberOf, textOf } from './event-fields.ts';

interface ShopEvent {
  readonly name: string;
  /** `list`: products of the event; `own`: the event is about one product. */
  readonly items?: 'list' | 'own';
  readonly renames?: Readonly<Record<string, string>>;
}

const shopEvents: ReadonlyMap<string, ShopEvent> = new Map([
  ['products searched', { name: 'search', renames: { query: 'search_term' } }],
  [
    'product list viewed',
    { name: 'view_item_list', items: 'list', renames: { list_id: 'item_list_id', category: 'item_list_name' } },
  ],
  [
    'promotion viewed',
    {
      name: 'view_promotion',
      renames: { name: 'promotion_name', creative: 'creative_name', position: 'creative_slot' },
    },
  ],
  [
    'promotion clicked',
    {
      name: 'select_promotion',
      renames: { name: 'promotion_name', creative: 'creative_name', position: 'creative_slot' },
    },
  ],
  ['product clicked', { name: 'select_item', items: 'own' }],
  ['product viewed', { name: 'view_item', items: 'own' }],
  ['product added', { name: 'add_to_cart', items: 'own' }],
  ['product removed', { name: 'remove_from_cart', items: 'own' }],
  ['product added to wishlist', { name: 'add_to_wishlist', items: 'own' }],
  ['cart viewed', { name: 'view_cart', items: 'list' }],
  ['checkout started', { name: 'begin_checkout', items: 'list' }],
  ['shipping info entered', { name: 'add_shipping_info', items: 'list' }],
  ['payment info entered', { name: 'add_payment_info', items: 'list', renames: { payment_method: 'payment_type' } }],
  ['order completed', { name: 'purchase', items: 'list' }],
  ['order refunded', { name: 'refund', items: 'list' }],
  ['product shared', { name: 'share', renames: { share_via: 'method', product_id: 'item_id' } }],
  ['cart shared', { name: 'share', renames: { share_via: 'method', cart_id: 'item_id' } }],
]);

const noRenames: ReadonlyMap<string, string> = new Map();
const itemsMax = 200;

/** GA4's field of an item → the product's, the first that there is. */
const itemFields: Readonly<Record<string, readonly string[]>> = {
  item_id: ['product_id', 'sku', 'item_id'],
  item_name: ['name', 'item_name'],
  item_brand: ['brand', 'item_brand'],
  item_category: ['category', 'item_category'],
  item_variant: ['variant', 'item_variant'],
  affiliation: ['affiliation'],
  coupon: ['coupon'],
  discount: ['discount'],
  index: ['position', 'index'],
  price: ['price'],
  quantity: ['quantity'],
};

export interface ShopParams {
  name: string;
  params: Record<string, unknown>;
}

/** Undefined: it is no event of a shop. */
export function shopParams(eventName: string, properties: EventObject): ShopParams | undefined {
  const shop = shopEvents.get(eventName.trim().toLowerCase());
  if (shop === undefined) return undefined;
  const { name, items } = shop;
  const renames = shop.renames === undefined ? noRenames : new Map(Object.entries(shop.renames));
  const params: Record<string, unknown> = {};
  const ofProduct = items === 'own' ? new Set(Object.values(itemFields).flat()) : new Set<string>();
  for (const [key, value] of Object.entries(properties)) {
    if (key === 'products' || ofProduct.has(key)) continue;
    params[renames.get(key) ?? (key === 'order_id' ? 'transaction_id' : key)] = value;
  }
  const value = worthOf(properties, items);
  if (value !== undefined) params.value = value;
  if (items === 'own') params.items = [itemOf(properties)];
  else if (items === 'list' && Array.isArray(properties.products))
    params.items = properties.products.filter(isObject).slice(0, itemsMax).map(itemOf);
  return { name, params };
}

/** What it is worth: said so, or the price of all pieces. */
function worthOf(properties: EventObject, items: ShopEvent['items']): number | undefined {
  for (const key of ['value', 'total', 'revenue']) {
    const number = numberOf(properties[key]);
    if (number !== undefined) return number;
  }
  const price = numberOf(properties.price);
  return items === 'own' && price !== undefined ? price * (numberOf(properties.quantity) ?? 1) : undefined;
}

function itemOf(product: EventObject): Record<string, unknown> {
  const item: Record<string, unknown> = {};
  for (const [field, sources] of Object.entries(itemFields)) {
    const value = sources.map((source) => product[source]).find((one) => textOf(one) !== undefined);
    if (value !== undefined) item[field] = numberFields.has(field) ? (numberOf(value) ?? value) : textOf(value);
  }
  return item;
}

const numberFields: ReadonlySet<string> = new Set(['price', 'quantity', 'discount', 'index']);
