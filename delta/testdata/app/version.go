package main

const version = "1.4.2"
