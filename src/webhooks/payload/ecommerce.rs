//! Orders and stock.

use serde_json::{Map, Value};

use super::payloads;

payloads! {
    /// `ecomm_new_order`, `ecomm_order_changed`. The payload names no site.
    Order {
        /// The order, usually six hex digits.
        order_id: String,
        /// `pending`, `unfulfilled`, `fulfilled`, `disputed`, `dispute-lost` or `refunded`.
        status: String,
        /// A comment set through the API.
        comment: String,
        /// The customer's comment.
        order_comment: String,
        /// When it was placed.
        accepted_on: String,
        /// When it was fulfilled.
        fulfilled_on: String,
        /// When it was refunded.
        refunded_on: String,
        /// When the customer disputed it.
        disputed_on: String,
        /// When the dispute was last updated.
        dispute_updated_on: String,
        /// The dispute's status.
        dispute_last_status: String,
        /// What the customer paid.
        customer_paid: OrderPrice,
        /// The amount after fees.
        net_amount: OrderPrice,
        /// The platform's fee.
        application_fee: OrderPrice,
        /// All addresses that the customer gave.
        all_addresses: Vec<OrderAddress>,
        /// The shipping address.
        shipping_address: OrderAddress,
        /// The billing address.
        billing_address: OrderAddress,
        /// The carrier, set through the API.
        shipping_provider: String,
        /// The tracking number, set through the API.
        shipping_tracking: String,
        /// The tracking URL, set through the API.
        #[serde(rename = "shippingTrackingURL", alias = "shippingTrackingUrl")]
        shipping_tracking_url: String,
        /// The customer.
        customer_info: Customer,
        /// What was bought.
        purchased_items: Vec<PurchasedItem>,
        /// The sum of all counts.
        purchased_items_count: i64,
        /// Additional inputs of the checkout.
        custom_data: Vec<Value>,
        /// Whether the customer was deleted from the site.
        is_customer_deleted: bool,
        /// Whether something has to be shipped.
        is_shipping_required: bool,
        /// Whether the order has downloads.
        has_downloads: bool,
        /// The payment processor.
        payment_processor: String,
        /// Subtotal, extras and total.
        totals: Map<String, Value>,
    }

    /// An amount of money.
    OrderPrice {
        /// The currency, three letters of ISO 4217.
        unit: String,
        /// The amount in the currency's smallest unit, a number or a string.
        value: Value,
        /// The amount as text for display.
        string: String,
    }

    /// A customer's address.
    OrderAddress {
        /// `billing` or `shipping`.
        #[serde(rename = "type")]
        kind: String,
        /// The recipient.
        addressee: String,
        /// The first line.
        line1: String,
        /// The second line.
        line2: String,
        /// The city.
        city: String,
        /// The state or province.
        state: String,
        /// The country.
        country: String,
        /// The postal code.
        postal_code: String,
    }

    /// The customer of an order.
    Customer {
        /// The full name.
        full_name: String,
        /// The email address.
        email: String,
    }

    /// One row of an order.
    PurchasedItem {
        /// How many.
        count: i64,
        /// The row's total.
        row_total: OrderPrice,
        /// The product.
        product_id: String,
        /// The product's name.
        product_name: String,
        /// The product's slug.
        product_slug: String,
        /// The variant.
        variant_id: String,
        /// The variant's name.
        variant_name: String,
        /// The variant's slug.
        variant_slug: String,
        /// The variant's SKU.
        variant_sku: String,
        /// The variant's price.
        variant_price: OrderPrice,
    }

    /// `ecomm_inventory_changed`. The payload names no site.
    Inventory {
        /// The SKU's ID.
        id: String,
        /// How many are left, when the inventory is finite.
        quantity: i64,
        /// `finite` or `infinite`.
        inventory_type: String,
    }
}
