package service

func prepare() {}
