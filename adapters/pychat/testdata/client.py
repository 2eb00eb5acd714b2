"""A console client in the manner of the Python chatroom's: client.py HOST PORT NICK [PASSWORD]

It shows each chunk as it comes and sends each line of its input; one that begins with
$kick or $ban goes as that command, if the nick is admin. It leaves at the input's end.
"""
import socket
import sys
import threading

host, port, nick = sys.argv[1], int(sys.argv[2]), sys.argv[3]
password = sys.argv[4] if len(sys.argv) > 4 else ""
server = socket.create_connection((host, port))


def recv():
    chunk = server.recv(1024)
    if not chunk:
        raise EOFError("the server hung up")
    return chunk.decode("ascii")  # strict: any other byte ends the loop


def listen():
    try:
        while True:
            chunk = recv()
            if chunk != "NICK":
                print(chunk, flush=True)
                continue
            server.sendall(nick.encode("utf-8"))
            question = recv()
            if question == "pass":
                server.sendall(password.encode("ascii"))
                if recv() == "Incorrect":
                    raise EOFError("the password was wrong")
            elif question == "BAN":
                raise EOFError("banned")
    except (EOFError, UnicodeDecodeError, OSError) as end:
        print("END:", end, flush=True)


listener = threading.Thread(target=listen)
listener.start()
for line in sys.stdin:
    line = line.rstrip("\n")
    word, _, rest = line.partition(" ")
    if nick == "admin" and word in ("$kick", "$ban"):
        server.sendall(f"{word[1:].upper()} {rest}".encode("utf-8"))
    else:
        server.sendall(f"{nick}: {line}".encode("utf-8"))
try:
    server.shutdown(socket.SHUT_WR)
except OSError:
    pass  # the server has hung up already
listener.join()
