"""Copies a file as Ansible does over WinRM, with the library that Ansible
uses: lines of base64 of 250,000 bytes to the stdin of one program. Prints the
seconds from the first line to the program's answer."""

import base64
import os
import sys
import time

import xmltodict
from winrm.protocol import Protocol

PIECE = 250000


def send(protocol, shell, command, data, end):
    request = {"env:Envelope": protocol._get_soap_header(
        resource_uri="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd",
        action="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Send", shell_id=shell)}
    stream = {"@Name": "stdin", "@CommandId": command, "#text": base64.b64encode(data).decode()}
    if end:
        stream["@End"] = "true"
    request["env:Envelope"]["env:Body"] = {"rsp:Send": {"rsp:Stream": stream}}
    protocol.send_message(xmltodict.unparse(request))


def main():
    path, line = sys.argv[1:]
    protocol = Protocol(endpoint=os.environ["PEER_URL"], transport="ntlm", username=os.environ["PEER_USER"],
                        password=os.environ["PEER_PASSWORD"], ca_trust_path=os.environ["PEER_CA"])
    with open(path, "rb") as f:
        content = f.read()
    shell = protocol.open_shell()
    command = protocol.run_command(shell, line, console_mode_stdin=False, skip_cmd_shell=False)
    began = time.monotonic()
    for at in range(0, len(content), PIECE):
        piece = base64.b64encode(content[at:at + PIECE]) + b"\r\n"
        send(protocol, shell, command, piece, at + PIECE >= len(content))
    out, err, code = protocol.get_command_output(shell, command)
    took = time.monotonic() - began
    if code != 0:
        sys.exit("exit code %d: %r" % (code, err))
    print("%.6f" % took)


main()
