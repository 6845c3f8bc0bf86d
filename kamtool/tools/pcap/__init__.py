"""Capture files: pcap and pcapng read and written, and the SIP messages found in them."""
