//! Ports for servers that are told their address before they listen.

use std::net::{SocketAddr, TcpListener, TcpStream};

/// An address of this machine at which nothing listens, reserved for a minute.
///
/// A port that is merely closed is free for the next socket that asks for any port, such as the
/// fake of a parallel test. One with a closed connection is not: the system keeps it in `TIME_WAIT`
/// and gives it only to a server that names it.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    // The side that closes first is the one that waits.
    drop(listener.accept().unwrap());
    drop(client);
    address
}
