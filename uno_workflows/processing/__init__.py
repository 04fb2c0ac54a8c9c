"""One message from arrival to done: the pump reads for a subscription and hands pages to a consumer."""
