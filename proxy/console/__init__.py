"""The pages for people: portal, who am I, my sessions, may I …?, kubeconfigs. An aiohttp application and nothing around it.

Who visits, what is known of the installation and what sessions there are is asked through the protocols of `visit`: this room opens no
socket, reads no cookie and verifies no token. It is reached through the edge alone, which has done all of that.
"""
