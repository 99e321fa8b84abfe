"""Talks to a WinRM endpoint with pywinrm and says "ok NAME" for each thing
that went as it goes with Windows. Endpoint, account and the command to run
come from the environment; the command must copy stdin to stdout and end with
exit code 7."""

import base64
import os
import sys

import xmltodict
from winrm.exceptions import InvalidCredentialsError, WinRMTransportError
from winrm.protocol import Protocol

HTTP = "http://%s/wsman" % os.environ["LAB_HTTP"]
HTTPS = "https://%s/wsman" % os.environ["LAB_HTTPS"]
USER = os.environ["LAB_USER"]
PASSWORD = os.environ["LAB_PASSWORD"]
CA = os.environ["LAB_CA"]
COMMAND = os.environ["LAB_COMMAND"]
DATA = bytes(range(256)) * 3000


def session(endpoint, transport, password=PASSWORD, **options):
    return Protocol(endpoint=endpoint, transport=transport, username=USER, password=password,
                    ca_trust_path=CA, read_timeout_sec=40, operation_timeout_sec=20, **options)


def send(protocol, shell, command, data, end):
    """Writes to stdin, which this version of pywinrm cannot yet do itself."""
    request = {"env:Envelope": protocol._get_soap_header(
        resource_uri="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd",
        action="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Send", shell_id=shell)}
    stream = {"@Name": "stdin", "@CommandId": command, "#text": base64.b64encode(data).decode()}
    if end:
        stream["@End"] = "true"
    request["env:Envelope"]["env:Body"] = {"rsp:Send": {"rsp:Stream": stream}}
    protocol.send_message(xmltodict.unparse(request))


def works(name, protocol):
    shell = protocol.open_shell()
    command = protocol.run_command(shell, COMMAND, console_mode_stdin=False, skip_cmd_shell=False)
    for start in range(0, len(DATA), 300000):
        send(protocol, shell, command, DATA[start:start + 300000], start + 300000 >= len(DATA))
    out, err, code = protocol.get_command_output(shell, command)
    protocol.cleanup_command(shell, command)
    protocol.close_shell(shell)
    if (out, code) != (DATA, 7):
        sys.exit("%s: %d bytes, exit code %r, stderr %r" % (name, len(out), code, err))
    print("ok", name)


def fails(name, error, text, protocol):
    try:
        protocol.open_shell()
    except error as e:
        if text not in str(e):
            sys.exit("%s: wrong words: %s" % (name, e))
        print("ok", name)
        return
    sys.exit("%s: it was let in" % name)


works("ntlm-sealed", session(HTTP, "ntlm", message_encryption="always"))
works("basic-https", session(HTTPS, "basic"))
works("ntlm-https", session(HTTPS, "ntlm"))
fails("wrong-password", InvalidCredentialsError, "rejected", session(HTTP, "ntlm", password="wrong", message_encryption="always"))
fails("wrong-password-basic", InvalidCredentialsError, "rejected", session(HTTPS, "basic", password="wrong"))
fails("plain-refused", WinRMTransportError, "500", session(HTTP, "ntlm", message_encryption="never"))
fails("basic-over-http-refused", InvalidCredentialsError, "rejected", session(HTTP, "basic"))
